"""Size and coverage of the released prediction sets, against sets without calibration."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import (
    PERMUTED,
    Access,
    Array,
    Evaluator,
    Fact,
    Measured,
    Measurement,
    Metric,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods import conformal
from trustbench.methods.group_nulls import against_chance
from trustbench.methods.groups import means_by, sizes

NAMES = (
    "size",
    "coverage",
    "singleton_rate",
    "empty_rate",
    "size_sd",
    "shortfall",
    "class_coverage_gap",
    "shortfall_naive",
)
LEVEL_UNKNOWN = "the system does not state the level of its sets (fact set_alpha)"


@dataclass(frozen=True)
class ReleasedSets(Evaluator):
    """The cost of released sets and whether they keep their level, on the test split.

    For every released score: `size_<score>` (mean labels), `coverage_<score>`,
    `shortfall_<score>` = max(0, 1 - alpha - coverage), `singleton_rate_<score>`,
    `empty_rate_<score>`, `size_sd_<score>` (over rows), and `class_coverage_gap_<score>`, the
    mean over classes of |coverage - (1 - alpha)| (classes of at least `min_class` test rows),
    beside its null, `class_coverage_gap_<score>_permuted`: that of random classes of equal sizes.
    The level 1 - alpha is the one that the releasing method states.

    `shortfall_naive_<score>` is the null, a diagnostic: the shortfall of the same score without
    calibration, at the threshold that would cover 1 - alpha of the test rows if the predicted
    probabilities were right. That is 1 - alpha for APS; for LAC it is the least probable label
    that the most probable ones of all rows need to hold 1 - alpha of the predicted mass.

    Sets that hold every label have a size, and cover by construction: nothing else is measured.

    A valid method falls short too, by chance in its calibration and test rows. The facts state what
    split conformal prediction with equally many rows would do: `band_low_<score>` and
    `band_high_<score>` (95 %), `shortfall_expected_<score>`, and `replicates_in_band_<score>`.

    Reference: Angelopoulos and Bates 2021, arXiv 2107.07511; Ding et al. 2023, arXiv 2306.09335,
    section 3 (coverage gap of classes).
    """

    min_class: Annotated[int, Field(ge=1)] = 20

    version: ClassVar[int] = 4
    aspect: ClassVar[Aspect | None] = Aspect.UNCERTAINTY
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "set_predictors"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits"})
    reference: ClassVar[str] = "Angelopoulos and Bates 2021, arXiv 2107.07511"
    metrics = (
        Metric(
            "size_<score>",
            "How many labels a released prediction set holds.",
            "labels",
            better="lower",
            lower=0.0,
            upper="number of labels",
        ),
        fraction(
            "coverage_<score>",
            "The share of test rows whose released prediction set holds the true label.",
            better="higher",
        ),
        fraction(
            "singleton_rate_<score>",
            "The share of test rows whose released prediction set is a single label.",
            better="higher",
        ),
        fraction(
            "empty_rate_<score>",
            "The share of test rows whose released prediction set is empty.",
            better="lower",
        ),
        Metric(
            "size_sd_<score>",
            "How much the sizes of released prediction sets differ between rows.",
            "labels",
            better="lower",
            lower=0.0,
            upper="half the number of labels",
        ),
        fraction(
            "shortfall_<score>",
            "How much less often released sets hold the true label than they promise.",
            better="lower",
            null="shortfall_naive_<score>",
        ),
        fraction(
            "shortfall_naive_<score>",
            "How much less often sets hold the true label than promised, without calibration.",
            better="lower",
            diagnostic=True,
        ),
        fraction(
            "class_coverage_gap_<score>",
            "How far the sets of single classes are from holding the true label as promised.",
            better="lower",
            null=PERMUTED,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if system.set_predictors:
            return None
        return "needs released prediction sets (intervention=conformal)"

    @override
    def measure(self, system: System) -> Measured:
        facts: dict[str, Fact] = {
            "alpha": system.facts.get("set_alpha"),
            "min_class": self.min_class,
        }
        parts = [self._of_score(system, score) for score in system.set_predictors]
        return Measured.joined([Measured((), facts=facts), *parts])

    def _of_score(self, system: System, score: str) -> Measured:
        X, y, group = system.problem.rows("test")
        sets = system.sets(system.tensor(X), score, group)
        size, cover = conformal.set_sizes(sets), conformal.covered(sets, y)
        reason = conformal.uninformative(system, score, sets)
        if reason is not None:  # such sets have a size, but carry no other information
            return Measured(
                (replace(self._size(system, score, size), trivial=reason),),
                missing={f"{name}_{score}": reason for name in NAMES if name != "size"},
            )
        described = Measured(tuple(self._described(system, score, size, cover)))
        alpha = system.facts.get("set_alpha")
        if not isinstance(alpha, float):
            names = ("shortfall", "class_coverage_gap", "shortfall_naive")
            lacking = {f"{name}_{score}": LEVEL_UNKNOWN for name in names}
            return Measured.joined([described, Measured((), missing=lacking)])
        short = self.measurement(f"shortfall_{score}", shortfall(cover, alpha), len(y))
        return Measured.joined(
            [
                described,
                Measured((short,)),
                self._by_class(system, score, cover, alpha),
                self._naive(system, score, alpha),
                Measured((), facts=_expected(system, score, cover, alpha)),
            ]
        )

    def _size(self, system: System, score: str, size: Array) -> Measurement:
        top = float(len(system.problem.classes))
        return self.measurement(f"size_{score}", size.mean(axis=1), size.shape[1], upper=top)

    def _described(
        self, system: System, score: str, size: Array, cover: Array
    ) -> Iterator[Measurement]:
        """What sets are like, whatever their level."""
        n, half = size.shape[1], len(system.problem.classes) / 2
        yield self._size(system, score, size)
        yield self.measurement(f"coverage_{score}", cover.mean(axis=1), n)
        yield self.measurement(f"singleton_rate_{score}", (size == 1).mean(axis=1), n)
        yield self.measurement(f"empty_rate_{score}", (size == 0).mean(axis=1), n)
        yield self.measurement(f"size_sd_{score}", size.std(axis=1), n, upper=half)

    def _by_class(self, system: System, score: str, cover: Array, alpha: float) -> Measured:
        name, y = f"class_coverage_gap_{score}", system.problem.rows("test")[1]
        classes = len(system.problem.classes)
        counts = sizes(y, classes)
        kept = counts >= self.min_class
        if not kept.any():
            return Measured((), missing={name: f"no class has {self.min_class} test rows"})
        rows = kept[y]

        def statistics(labels: Array) -> dict[str, Array]:
            by_class = means_by(cover[:, rows], labels, classes)[..., kept]
            return {name: np.abs(by_class - (1 - alpha)).mean(axis=-1)}

        build = partial(self.measurement, n=int(counts[kept].min()))
        return Measured(tuple(against_chance(build, statistics, y[rows], system)))

    def _naive(self, system: System, score: str, alpha: float) -> Measured:
        name, y = f"shortfall_naive_{score}", system.problem.rows("test")[1]
        function = conformal.SCORES.get(score)  # type: ignore[call-overload]
        if function is None:
            reason = f"{score} has no meaning without calibration, as aps and lac have"
            return Measured((), missing={name: reason})
        p = system.split_logits("test").double().softmax(-1)
        scores = function(p, conformal.uniforms(system, len(y), conformal.PREDICTING))
        threshold = torch.full_like(p[:, 0, 0], 1 - alpha)
        if score != "aps":
            threshold = believed(scores, p, alpha)
        cover = conformal.covered(scores <= threshold[:, None, None], y)
        return Measured((self.measurement(name, shortfall(cover, alpha), len(y)),))


def shortfall(cover: Array, alpha: float) -> Array:
    """max(0, 1 - alpha - coverage), [R], of covered rows [R, n].

    >>> shortfall(np.array([[1.0, 0.0], [1.0, 1.0]]), alpha=0.25).tolist()
    [0.25, 0.0]
    """
    return np.asarray(np.maximum(0.0, 1 - alpha - cover.mean(axis=1)))


def believed(scores: Tensor, probabilities: Tensor, alpha: float) -> Tensor:
    """The smallest threshold [R] whose sets hold 1 - alpha of the predicted mass.

    Args:
        scores: scores of every label, [R, n, C].
        probabilities: predicted probabilities, [R, n, C].
        alpha: the mass that may be left out.

    >>> p = torch.tensor([[[0.5, 0.5], [0.75, 0.25]]])
    >>> believed(1 - p, p, alpha=0.2).tolist()
    [0.5]
    """
    ascending, order = scores.flatten(1).sort(dim=1)
    mass = probabilities.flatten(1).gather(1, order).cumsum(1) / scores.shape[1]
    # 1e-9: the whole mass may sum to a little less than 1.
    enough = (mass >= 1 - alpha - 1e-9).int().argmax(dim=1)
    return ascending.gather(1, enough[:, None])[:, 0]


def _expected(system: System, score: str, cover: Array, alpha: float) -> dict[str, Fact]:
    """The result of split conformal prediction with equally many calibration and test rows."""
    rows = system.facts.get(f"set_rows_{score}")
    if not isinstance(rows, int):
        return {}
    n = cover.shape[1]
    band = conformal.coverage_band(rows, n, alpha)
    inside = (band.low <= cover.mean(axis=1)) & (cover.mean(axis=1) <= band.high)
    return {
        f"rows_{score}": rows,
        f"guarantee_{score}": system.facts.get(f"set_guarantee_{score}"),
        f"band_low_{score}": band.low,
        f"band_high_{score}": band.high,
        f"replicates_in_band_{score}": int(inside.sum()),
        f"shortfall_expected_{score}": conformal.coverage_variation(rows, n, alpha).shortfall,
    }
