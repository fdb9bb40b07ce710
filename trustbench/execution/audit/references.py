"""Reference models for attacks on the membership of a given model: the user's recipe, fitted anew.

Half of the pool (the model's own training rows, and the measured rows that it has not seen) trains
each reference, in complementary pairs. Attacks assume that the pool comes from one distribution and
that the recipe is that of the model.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trustbench.config.arms import Protocol
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
class Recipe:
    """How reference models are made: `fit` takes rows and their classes and returns a model."""

    name: str
    fit: Callable[..., Any]
    count: int = REFERENCES

    def __post_init__(self) -> None:
        if self.count < 4 or self.count % 2:
            raise UserError(f"--references is {self.count}; give an even number from 4.")


@dataclass(frozen=True)
class References:
    """What reference models answer, and which rows each was trained on."""

    pool: Array  # float64 [K, m + n, C]: the members, then the measured rows
    held: Array  # float64 [K, h, C]
    inside: Array  # bool [K, m + n]
    recipe: str

    def describe(self, seed: int) -> dict[str, Fact]:
        """For the record."""
        return {
            "recipe": self.recipe,
            "count": len(self.pool),
            "rows_of_each": int(self.inside.sum(1).min()),
            "pool": self.pool.shape[1],
            "seed": seed,
        }


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
    recipe: Recipe, table: AuditTable, rows: AuditRows, test: Array, held: Array, streams: Streams
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
    protocol = Protocol(replicates=recipe.count, inclusion="half")
    whole = row_system(rows, identity(len(rows.test), len(rows.members)), streams)
    inside = membership(whole.problem, protocol, streams)
    names = _as_written(table)
    apart, answers = table.rows.iloc[held][columns], []
    for k, chosen in enumerate(inside):
        with streams.global_state("initialisation", k, "audit_reference"):
            fitted = _fit(recipe, pool[chosen].reset_index(drop=True), names[y[chosen]])
        model = _opened(recipe, fitted, table)
        order = columns_in_order(model.classes, table.classes, recipe.name)
        both = pd.concat([pool, apart], ignore_index=True)
        p = checked_probabilities(model, both, f"of {recipe.name}")
        answers.append(np.where(order >= 0, p[:, order], 0.0))
    found = np.stack(answers)
    return References(found[:, : len(pool)], found[:, len(pool) :], inside, recipe.name)


def _member_rows(table: AuditTable) -> "DataFrame | None":
    if table.members is not None:
        return table.members.rows
    return table.rows[table.parts.seen] if table.parts.how == "split column" else None


def _shared(rows: "DataFrame", members: "DataFrame") -> list[str]:
    """The columns that both tables have: `copies_of` has refused tables that share few."""
    known = set(members.columns)
    return [c for c in rows.columns if c in known]


def _as_written(table: AuditTable) -> Array:
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
