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

    def decide(self, rows: "DataFrame") -> Array | None:
        """The decided classes, as positions among `classes`: int64 [n]; None for scores alone."""
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
    if "probabilities" not in model.channels:
        return Answers(*labels, p)
    decided = _own_decisions(model, name, rows, order)
    if decided is None:
        return Answers(*labels, p, assumed=True)
    return Answers(*labels, p, None if (decided == p.argmax(axis=1)).all() else decided)


def decided_by(model: Decides, rows: "DataFrame", order: Array) -> Array | None:
    """The model's decisions as positions among the target's classes, int64 [n].

    None if it returns scores alone.
    """
    decided = model.decide(rows)
    return None if decided is None else np.asarray((order == decided[:, None]).argmax(axis=1))


def outputs(answers: Answers) -> dict[str, Fact]:
    """What a record says of decisions, unless they are known to be by the largest probability."""
    if answers.assumed:
        return {
            "decisions": "assumed: the largest probability decides (of two classes, a threshold "
            "of .5), since the model returns scores alone"
        }
    if answers.decided is None:
        return {}
    differ = int((answers.decided != answers.p.argmax(axis=1)).sum())
    return {
        "decisions": f"those that the model returns itself, which differ from its largest "
        f"probability on {differ:,} of {len(answers):,} rows"
    }


def _own_decisions(model: GivenModel, name: str, rows: "DataFrame", order: Array) -> Array | None:
    """The decisions [n] that the model returns beside its scores; None if it returns none."""
    if not isinstance(model, Decides):
        return None
    try:
        return decided_by(model, rows.copy(), order)
    except failures() as error:
        raise UserError(
            f"model {name} answers with probabilities, but its decisions fail on the rows of the "
            f"table ({type(error).__name__}: {first_sentence(error)[:200]})."
        ) from error
