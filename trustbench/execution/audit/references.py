"""Reference models for attacks on the membership of a given model: the user's recipe, fitted anew.

A recipe is a function that fits a model (`Recipe`) or a module that is trained (`ModuleRecipe`).

Half of the pool (the model's own training rows, and the measured rows that it has not seen) trains
each reference, in complementary pairs. Attacks assume that the pool comes from one distribution and
that the recipe is that of the model.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from trustbench.config import arms
from trustbench.contracts import Access, Array, Fact, Streams, System
from trustbench.contracts.given import GivenModel, ModelSource
from trustbench.contracts.given_checks import checked_probabilities
from trustbench.errors import FAILURES, UserError, first_sentence
from trustbench.execution.audit.answers import AuditRows
from trustbench.execution.audit.defaults import REFERENCES
from trustbench.execution.audit.draws import identity
from trustbench.execution.audit.prepare import AuditTable
from trustbench.execution.audit.row_system import row_system, stored_forward
from trustbench.models.given.class_names import columns_in_order
from trustbench.models.given.opening import open_model
from trustbench.training.replicates import membership

if TYPE_CHECKING:
    from pandas import DataFrame

FEWEST_POPULATION = 20
"""Fewer rows that no model was trained on cannot say what is usual."""


@dataclass(frozen=True)
class ReferenceRows:
    """What references are made from, and asked about."""

    table: AuditTable
    pool: "DataFrame"  # the members, then the measured rows
    y: Array  # int64 [m + n]
    inside: Array  # bool [K, m + n]: the rows that each reference is trained on
    apart: "DataFrame"  # rows that none is trained on
    y_apart: Array
    streams: Streams


class ReferenceRecipe(Protocol):
    """How reference models are made."""

    @property
    def name(self) -> str:
        """What sentences call it."""
        ...

    @property
    def count(self) -> int:
        """The number of models."""
        ...

    def training(self) -> str:
        """How they are trained, for the record; empty for user code."""
        ...

    def answers(self, rows: ReferenceRows) -> Array:
        """Probabilities of the pool and of the rows apart, float64 [K, m + n + h, C].

        Raises:
            UserError: a model cannot be made.
        """
        ...


@dataclass(frozen=True)
class Recipe:
    """Makes models with a function: `fit` takes rows and their classes and returns a model."""

    name: str
    fit: Callable[..., Any]
    count: int = REFERENCES

    def __post_init__(self) -> None:
        refuse_count(self.count)

    def training(self) -> str:
        """Empty: only the function knows."""
        return ""

    def answers(self, rows: ReferenceRows) -> Array:
        """Fits the models one after the other in this process."""
        import pandas as pd

        names, found = _written_classes(rows.table), []
        both = pd.concat([rows.pool, rows.apart], ignore_index=True)
        for k, chosen in enumerate(rows.inside):
            with rows.streams.global_state("initialisation", k, "audit_reference"):
                X = rows.pool[chosen].reset_index(drop=True)
                fitted = _fit(self, X, names[rows.y[chosen]])
            model = _opened(self, fitted, rows.table)
            order = columns_in_order(model.classes, rows.table.classes, self.name)
            p = checked_probabilities(model, both, f"of {self.name}")
            found.append(np.where(order >= 0, p[:, order], 0.0))
        return np.stack(found)


def refuse_count(count: int) -> None:
    """Raises UserError unless the references make complementary pairs."""
    if count < 4 or count % 2:
        raise UserError(f"--references is {count}; give an even number from 4.")


@dataclass(frozen=True)
class References:
    """What reference models answer, and which rows each was trained on."""

    pool: Array  # float64 [K, m + n, C]: the members, then the measured rows
    held: Array  # float64 [K, h, C]
    inside: Array  # bool [K, m + n]
    recipe: str
    training: str = ""

    def describe(self, seed: int) -> dict[str, Fact]:
        """For the record."""
        known: dict[str, Fact] = {
            "recipe": self.recipe,
            "count": len(self.pool),
            "rows_of_each": int(self.inside.sum(1).min()),
            "pool": self.pool.shape[1],
            "seed": seed,
        }
        return known | ({"training": self.training} if self.training else {})


def with_references(system: System, rows: AuditRows, references: References) -> System:
    """The model's answers as a system whose shadow models are the references."""
    pool, held = references.pool, references.held
    m = len(rows.members)
    answers = np.concatenate([pool[:, m:], held, pool], axis=1)  # as `row_system` orders its rows
    count, calibration = len(pool), system.problem.splits["calibration"]
    behind = replace(
        system,
        forward=stored_forward(answers),
        replicates=count,
        membership=references.inside,
        calibration=np.tile(calibration, (count, 1)),
    )
    access = system.access | frozenset[Access]({"replicates"})
    return replace(system, shadows=lambda: behind, access=access)


def fit_references(
    recipe: ReferenceRecipe,
    table: AuditTable,
    rows: AuditRows,
    test: Array,
    held: Array,
    streams: Streams,
) -> References:
    """Fits the references in this process, each on its half of the pool.

    Args:
        recipe: of the user.
        table: the rows of the audit.
        rows: the model's own answers to them.
        test: the numbers of the measured rows in the table.
        held: the numbers of the rows that calibrate: no reference is trained on them.
        streams: of the audit; numpy, torch and Python are seeded anew before each fit.

    Raises:
        UserError: training rows or calibration rows are missing, or the recipe fails.
    """
    if "logits" not in rows.access:
        raise UserError(
            "--recipe compares probabilities with those of reference models, and this model "
            "answers with classes alone; leave --recipe out, and its labels are attacked."
        )
    members = _member_rows(table)
    if not len(rows.members) or members is None:
        raise UserError(
            "--recipe fits reference models on the rows that the model was trained on, and others; "
            "give these rows with --train FILE or a --split-column."
        )
    if len(held) < FEWEST_POPULATION:
        raise UserError(
            f"--recipe needs {FEWEST_POPULATION} rows that no model is trained on, and there are "
            f"{len(held)}; set some apart with --calibration 0.2."
        )
    columns = _shared(table.rows, members)
    import pandas as pd

    measured = table.rows.iloc[test][columns]
    pool = pd.concat([members[columns], measured], ignore_index=True)
    y = np.concatenate([rows.members.y, rows.test.y])
    protocol = arms.Protocol(replicates=recipe.count, inclusion="half")
    whole = row_system(rows, identity(len(rows.test), len(rows.members)), streams)
    inside = membership(whole.problem, protocol, streams)
    apart = table.rows.iloc[held][columns]
    given = ReferenceRows(table, pool, y, inside, apart, rows.calibration.y, streams)
    found = recipe.answers(given)
    of_pool, of_held = found[:, : len(pool)], found[:, len(pool) :]
    return References(of_pool, of_held, inside, recipe.name, recipe.training())


def _member_rows(table: AuditTable) -> "DataFrame | None":
    if table.members is not None:
        return table.members.rows
    return table.rows[table.parts.seen] if table.parts.how == "split column" else None


def _shared(rows: "DataFrame", members: "DataFrame") -> list[str]:
    """The columns that both tables have: `copies_of` has refused tables that share few."""
    known = set(members.columns)
    return [c for c in rows.columns if c in known]


def _written_classes(table: AuditTable) -> Array:
    """The classes as the table writes them, object [C], so that a recipe sees what it knows."""
    return np.array([*table.written, None], dtype=object)[:-1]


def _fit(recipe: Recipe, X: "DataFrame", y: Array) -> object:
    import pandas as pd

    try:
        return recipe.fit(X, pd.Series(y).infer_objects())
    except FAILURES as error:
        raise UserError(
            f"recipe {recipe.name} fails on {len(X)} training rows ({type(error).__name__}: "
            f"{first_sentence(error)[:200]}); give a function fit(X, y) that takes a DataFrame and "
            "its classes, and returns a model with predict_proba."
        ) from error


def _opened(recipe: Recipe, fitted: object, table: AuditTable) -> GivenModel:
    """What the recipe returned, as a given model with probabilities."""
    if not callable(getattr(fitted, "predict_proba", None)):
        raise UserError(
            f"recipe {recipe.name} returns a {type(fitted).__name__}; return a model with "
            "predict_proba."
        )
    return open_model(ModelSource(fitted, classes=table.in_order, table=table.rows))
