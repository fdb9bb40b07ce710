"""Holds a given model to its contract before anything is measured; each fault is one sentence."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from trustbench.contracts.arrays import Array
from trustbench.contracts.given import GivenModel
from trustbench.errors import FAILURES, UserError, first_sentence

if TYPE_CHECKING:
    from pandas import DataFrame

SUM_TOLERANCE = 1e-3
"""How far from 1 the probabilities of a row may add up: float16 answers pass."""
SAME = 1e-5
"""How far two answers to the same row may differ: the rounding of another batch size passes."""
PROBED = 64
"""The number of rows that are asked again, to see whether the answers stay."""


def checked_probabilities(model: GivenModel, rows: "DataFrame | Array", name: str) -> Array:
    """The model's answers to rows [n], float64 [n, C], each row normalised to sum to 1.

    `name` is what sentences call the model.

    Raises:
        UserError: the model breaks its contract; one sentence that says how.
    """
    answers = np.asarray(answers_to(model, rows, name))
    for fault in _faults(model, answers, len(rows)):
        raise UserError(f"model {name}: {fault}.")
    answers = _normalised(answers)
    if "queries" in model.channels:
        for fault in _unstable(model, rows, answers, name):
            raise UserError(f"model {name}: {fault}.")
    return answers


def answers_to(model: GivenModel, rows: "DataFrame | Array", name: str) -> Array:
    """What the model answers to a copy of the rows, as it comes: the rows stay as they are.

    Raises:
        UserError: the model fails on them.
    """
    try:
        return model.predict_proba(rows.copy())
    except failures() as error:
        raise UserError(
            f"model {name} fails on the rows of the table ({type(error).__name__}: "
            f"{first_sentence(error)[:200]}); give rows that it can answer, or a model with its "
            "whole preprocessing."
        ) from error


def failures() -> tuple[type[Exception], ...]:
    """`FAILURES`, and the exceptions of loaded libraries that inherit from none of them."""
    lightgbm = sys.modules.get("lightgbm")
    return FAILURES if lightgbm is None else (*FAILURES, lightgbm.basic.LightGBMError)


def _faults(model: GivenModel, answers: Array, n: int) -> Iterator[str]:
    """What is wrong with the answers to n rows; later checks rely on earlier ones."""
    wanted = (n, len(model.classes))
    if answers.shape != wanted:
        yield (
            f"predict_proba returns an array {answers.shape} for {n} rows and "
            f"{len(model.classes)} classes; return {wanted}, one column for each class"
        )
        return
    if not np.issubdtype(answers.dtype, np.number):
        yield f"predict_proba returns {answers.dtype} values; return numbers"
        return
    bad = ~np.isfinite(answers).all(axis=1)
    if bad.any():
        yield (
            f"predict_proba returns NaN or infinite values in {int(bad.sum())} of {n} rows (the "
            f"first: row {int(bad.argmax())}); return finite probabilities"
        )
        return
    low = answers.min(axis=1)
    if (low < -SUM_TOLERANCE).any():
        row = int(low.argmin())
        yield (
            f"predict_proba returns {low[row]:.3g} in row {row}, which is not a probability; "
            "return probabilities rather than logits or scores"
        )
        return
    total = answers.sum(axis=1)
    off = np.abs(total - 1.0) > SUM_TOLERANCE
    if off.any():
        row = int(off.argmax())
        yield (
            f"the probabilities of row {row} add up to {total[row]:.4g}; return probabilities that "
            "add up to 1 in each row"
        )
        return
    if "probabilities" not in model.channels and not np.isin(answers, (0.0, 1.0)).all():
        yield "it offers decisions only but returns fractions; add `probabilities` to its channels"


def _unstable(
    model: GivenModel, rows: "DataFrame | Array", answers: Array, name: str
) -> Iterator[str]:
    """Whether the same rows get other answers: again, in another order, or alone."""
    probe = np.linspace(0, len(rows) - 1, min(PROBED, len(rows))).astype(int)
    again = _ask(model, rows, probe, name)
    if np.abs(again - _ask(model, rows, probe, name)).max() > SAME:
        yield (
            "two calls with the same rows give different answers; switch dropout and sampling off, "
            "or fix the random state"
        )
        return
    backwards = _ask(model, rows, probe[::-1], name)[::-1]
    alone = _ask(model, rows, probe[:1], name)
    off = max(
        np.abs(again - answers[probe]).max(),
        np.abs(backwards - answers[probe]).max(),
        np.abs(alone - answers[probe[:1]]).max(),
    )
    if off > SAME:
        yield (
            f"the answer to a row depends on the other rows of its batch (it moves by {off:.2g}); "
            "use batch statistics from training (evaluation mode), and scale with fixed numbers"
        )


def _ask(model: GivenModel, rows: "DataFrame | Array", which: Array, name: str) -> Array:
    """The normalised answers to some of the rows."""
    chosen = rows[which] if isinstance(rows, np.ndarray) else rows.iloc[which]
    return _normalised(answers_to(model, chosen, name))


def _normalised(answers: Array) -> Array:
    """Probabilities that sum to 1 exactly; rounding below 0 is cut."""
    positive = np.clip(np.asarray(answers, dtype=np.float64), 0.0, None)
    return np.asarray(positive / positive.sum(axis=1, keepdims=True))
