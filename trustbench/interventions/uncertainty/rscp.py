"""Prediction sets that stay valid under small l2 perturbations: smoothed conformity scores."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Array, Fact, Intervention, Learnt, Problem, Read, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.system import SetPredictor
from trustbench.methods.attacks.evasion.box import unattackable
from trustbench.methods.attacks.smoothing import draws
from trustbench.methods.conformal import (
    CALIBRATING,
    PREDICTING,
    SCORES,
    Score,
    level_stated,
    released,
    thresholds,
    too_few_rows,
    uniforms,
    with_reason,
)

STREAM = "rscp"  # of the noise, see smoothing.draws
REMEMBERED = 6  # inputs whose smoothed scores are kept: scores and evaluators request the same ones


@dataclass(frozen=True)
class RSCP(Intervention):
    """RSCP sets: 1 - `alpha` coverage of inputs moved by at most `delta` in l2.

    A label's score is averaged over `samples` draws of Gaussian noise of deviation `sigma`. Phi^-1
    of the exact mean moves by at most delta / sigma, so a label is in the set if its Phi^-1 is at
    most that of the threshold plus delta / sigma. The mean of finitely many draws is not exact.
    With `plus` (RSCP+) the threshold is taken at level alpha - 2 beta and widened by a Hoeffding
    bound, and each score is lowered by an empirical Bernstein bound, both at confidence 1 - `beta`.
    Without `plus` the guarantee is approximate. Noise, sigma and delta are in the model's scaled
    space, on the columns that an attacker may move; the guarantee does not cover linf balls beyond
    that. The noise is drawn once and shared by all rows; the guarantee assumes attackers who do not
    know it. Every set costs `samples` forward passes. The papers draw 256; with fewer draws the
    sets of RSCP+ soon hold every label.

    Reference: Gendler et al. 2022, "Adversarially robust conformal prediction", ICLR, section 4;
    Yan et al. 2024, arXiv 2404.19651, section 3 (RSCP+) and appendix (Bernstein bound).
    """

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    scores: Annotated[tuple[Score, ...], Field(min_length=1)] = ("aps", "lac")
    delta: Annotated[float, Field(ge=0)] = 0.125
    sigma: Annotated[float, Field(gt=0)] = 0.25
    samples: Annotated[int, Field(ge=2)] = 64
    plus: bool = False
    beta: Annotated[float, Field(gt=0, lt=0.5)] = 0.001

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reads_rows: ClassVar = (Read("calibration", "thresholds of prediction sets", into="answers"),)
    reference: ClassVar[str] = "Gendler et al. 2022, ICLR; Yan et al. 2024, arXiv 2404.19651"
    dose: ClassVar[tuple[str, ...]] = ("alpha", "delta")

    def __post_init__(self) -> None:
        if self.plus and self.alpha <= 2 * self.beta:
            raise ValueError(f"alpha={self.alpha} is not above 2 beta={2 * self.beta}")

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return unattackable(problem)

    @override
    def deploy(self, system: System) -> System:
        facts = level_stated(system, self.alpha)
        like = torch.zeros((), dtype=torch.float32, device=system.device)
        noise = draws(system, self.sigma, self.samples, like, STREAM)
        smoothed = SmoothedScores(system, noise, self.scores)
        predictors = dict(system.set_predictors)
        for score in self.scores:
            learnt = system.learn(score, partial(self._learnt, system, smoothed, score))
            rule = self._rule(learnt.tensors["limit"])
            predictors[score] = _predictor(smoothed, score, rule)
            facts = released(facts, score, learnt.facts)
        return replace(system, set_predictors=predictors, facts=facts)

    def _learnt(self, system: System, smoothed: "SmoothedScores", score: Score) -> Learnt:
        """The limit of the smoothed scores, from each replicate's own calibration rows."""
        rows = system.calibration
        means = smoothed.of(system.tensor(system.problem.X[rows]), CALIBRATING)[score]
        y = system.tensor(system.problem.y[rows])
        limit = self._limit(means.mean.gather(-1, y.unsqueeze(-1)).squeeze(-1))
        kind = "marginal coverage" if self.plus else "approximate marginal coverage"
        said: dict[str, Fact] = {
            "rows": y.shape[1],
            "guarantee": f"{kind} within l2 {self.delta:g}",
        }
        full = bool(self._rule(limit)(means).all())
        reason = self._trivial(y.shape[1]) if full else None
        return Learnt({"limit": limit}, with_reason(said, reason))

    def _trivial(self, rows: int) -> str:
        """Explains why the sets of all calibration rows hold every label, and what to do."""
        reason = too_few_rows(self._level(), rows)
        if reason is not None:
            return reason
        if self.plus:
            lift = f"{hoeffding(self.samples, self.beta):.3f}"
            return (
                f"with samples={self.samples} the bounds of RSCP+ (Hoeffding's alone adds {lift} "
                "to the threshold) leave every label in every set; give more samples or a larger "
                "alpha"
            )
        return (
            f"sets that stay valid within l2 {self.delta:g} at sigma={self.sigma:g} hold every "
            "label; give a smaller delta, a larger sigma or a larger alpha"
        )

    def _level(self) -> float:
        """The miscoverage for which thresholds are calibrated."""
        return self.alpha - 2 * self.beta if self.plus else self.alpha

    def _limit(self, true: Tensor) -> Tensor:
        """The limit [R, 1, 1] on smoothed scores, from scores [R, n_cal] of true labels."""
        level = thresholds(true, self._level())
        if self.plus:
            level = level + hoeffding(self.samples, self.beta)
        limit: Tensor = torch.special.ndtri(level.clamp(max=1.0))[:, None, None]
        return limit

    def _rule(self, limit: Tensor) -> "Callable[[Mean], Tensor]":
        """Decides which labels [R, n, C] enter a set, given the limit [R, 1, 1]."""
        shift = self.delta / self.sigma

        def accepts(m: Mean) -> Tensor:
            low = m.mean
            if self.plus:
                low = (low - bernstein(m.variance, self.samples, self.beta)).clamp(min=0.0)
            smoothed: Tensor = torch.special.ndtri(low)
            return smoothed - shift <= limit

        return accepts


def hoeffding(samples: int, beta: float) -> float:
    """How far the mean of numbers in [0, 1] exceeds its expectation with probability `beta`.

    >>> round(hoeffding(256, 0.001), 4)
    0.1162
    """
    return math.sqrt(-math.log(beta) / (2 * samples))


def bernstein(variance: Tensor, samples: int, beta: float) -> Tensor:
    """The same bound, from the sample variance (n - 1 in the denominator) of the numbers.

    Reference: Maurer and Pontil 2009, arXiv 0907.3740, theorem 4.
    """
    t = math.log(2 / beta)
    return (2 * variance * t / samples).sqrt() + 7 * t / (3 * (samples - 1))


@dataclass(frozen=True)
class Mean:
    """Mean and sample variance over the noise of every label's score, each [R, n, C]."""

    mean: Tensor
    variance: Tensor


@dataclass(frozen=True)
class SmoothedScores:
    """The scores of every label under noise [S, *shape]; all draws of a row share the same U."""

    system: System
    noise: Tensor
    scores: tuple[Score, ...]
    _recent: list[tuple[str, Tensor, dict[str, Mean]]] = field(default_factory=list, repr=False)

    def of(self, X: Tensor, use: str) -> dict[str, Mean]:
        """Scores by name, of X [n, *shape] or [R, n, *shape]; `use` selects U, see `uniforms`."""
        for known, inputs, found in self._recent:
            if known == use and inputs.shape == X.shape and torch.equal(inputs, X):
                return found
        found = self._compute(X, use)
        self._recent.append((use, X, found))
        del self._recent[:-REMEMBERED]
        return found

    def _compute(self, X: Tensor, use: str) -> dict[str, Mean]:
        u = uniforms(self.system, X.shape[-1 - len(self.system.problem.shape)], use)
        total: dict[str, Tensor] = {}
        squares: dict[str, Tensor] = {}
        for e in self.noise:
            p = self.system.logits(X + e).double().softmax(-1)
            for score in self.scores:
                s = SCORES[score](p, u)
                total[score] = total[score] + s if score in total else s
                squares[score] = squares[score] + s * s if score in squares else s * s
        n = len(self.noise)
        return {
            score: Mean(
                # rounding may move sums of scores slightly out of [0, 1]
                (total[score] / n).clamp(0.0, 1.0),
                ((squares[score] - total[score] ** 2 / n) / (n - 1)).clamp(min=0.0),
            )
            for score in self.scores
        }


def _predictor(
    smoothed: SmoothedScores, score: Score, accepts: Callable[[Mean], Tensor]
) -> SetPredictor:
    """Maps X [n, *shape] or [R, n, *shape] to sets, bool [R, n, C]; one rule for all groups."""

    def predict(X: Tensor, group: Array) -> Tensor:  # noqa: ARG001 one signature
        return accepts(smoothed.of(X, PREDICTING)[score])

    return predict
