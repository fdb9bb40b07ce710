"""Asks a given model about rows: its probabilities, and its decisions where it has its own rule."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from trustbench.contracts import Array, Fact
from trustbench.contracts.given import GivenModel
from trustbench.contracts.given_checks import checked_probabilities, failures
from trustbench.errors import UserError, first_sentence
from trustbench.execution.audit.answers import Answers
from trustbench.execution.audit.stages import begin

if TYPE_CHECKING:
    from pandas import DataFrame


@runtime_checkable
class Decides(Protocol):
    """A given model with a method of its own for decisions, such as `predict` of an estimator."""

    def decide(self, rows: "DataFrame") -> Array:
        """The decided classes, as positions among `classes`: int64 [n]."""
        ...


def answers_of(
    model: GivenModel, name: str, rows: "DataFrame", labels: tuple[Array, Array], order: Array
) -> Answers:
    """The model's answers to rows with these (classes, groups), in the target's order of classes.

    A class that it never answers has probability 0.

    Raises:
        UserError: the model breaks its contract, or fails on the rows.
    """
    begin(f"asking {name}", f"{len(rows):,} rows")
    answered = checked_probabilities(model, rows, name)
    p = np.where(order >= 0, answered[:, order], 0.0)
    return Answers(*labels, p, _own_decisions(model, name, rows, p, order))


def decided_by(model: Decides, rows: "DataFrame", order: Array) -> Array:
    """The model's decisions as positions among the target's classes, int64 [n]."""
    return np.asarray((order == model.decide(rows)[:, None]).argmax(axis=1))


def outputs(answers: Answers) -> dict[str, Fact]:
    """What a record says of a model that does not decide by its largest probability."""
    if answers.decided is None:
        return {}
    differ = int((answers.decided != answers.p.argmax(axis=1)).sum())
    return {
        "decisions": f"those of the model's own `predict`, which differ from its largest "
        f"probability on {differ:,} of {len(answers):,} rows"
    }


def _own_decisions(
    model: GivenModel, name: str, rows: "DataFrame", p: Array, order: Array
) -> Array | None:
    """The decisions [n] if some differ from the largest probability."""
    if "probabilities" not in model.channels or not isinstance(model, Decides):
        return None
    try:
        decided = decided_by(model, rows.copy(), order)
    except failures() as error:
        raise UserError(
            f"model {name} answers with probabilities, but its `predict` fails on the rows of the "
            f"table ({type(error).__name__}: {first_sentence(error)[:200]})."
        ) from error
    return None if (decided == p.argmax(axis=1)).all() else decided
