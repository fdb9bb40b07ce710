"""Whether the intervals around released explanations keep their level (E -> U)."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Access, Evaluator, Measured, Metric, System, fraction
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.lime_surrogate import Lime, Stream
from trustbench.methods.explanations.released import explained_points
from trustbench.methods.explanations.targets import Target

# `repeat` index of the truth's perturbations, separate from all other draws.
TRUTH = 103
NAMES = ("miscoverage", "coverage", "coverage_claimed", "relative_width", "relative_bias")


@dataclass(frozen=True)
class IntervalCoverage(Evaluator):
    """The share of released intervals that contain LIME's coefficient of very many samples.

    The truth is that of `samples` perturbations (`patch_samples` on images cut into patches)
    that no released interval has seen; `sigma` and `target` must be those of the released
    method. All rows and replicates share one set of random numbers, so that coverage over a
    single one would be one draw: `draws` are asked for. `coverage` is the share over points,
    columns and draws. Its null is `coverage_claimed`, the `level` that the released method
    claims; the draws that all replicates share stay in its interval. `miscoverage` is the distance
    between the two, which noise alone keeps above 0. `relative_width` is the mean width divided by
    the mean size of the true coefficients. Columns whose true coefficient is 0 never move, have
    nothing to cover and are left out.

    `relative_bias` is the mean distance between the truth and the released attributions'
    average over draws, divided by the mean size of the truth: the ridge penalty shrinks
    coefficients of few samples, and a truth of other settings than the released ones shows.

    Reference: Slack et al. 2021, arXiv 2008.05030, section 5 (calibration).
    """

    points: Annotated[int, Field(ge=1)] = 8
    samples: Annotated[int, Field(ge=20)] = 10000
    patch_samples: Annotated[int, Field(ge=20)] = 4000
    draws: Annotated[int, Field(ge=1)] = 8
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    sigma: Annotated[float, Field(ge=0)] = 0.0
    target: Target = "margin"

    version: ClassVar[int] = 3
    aspect: ClassVar[Aspect | None] = Aspect.UNCERTAINTY
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "explainer", "intervals"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries"})
    reference: ClassVar[str] = "Slack et al. 2021, arXiv 2008.05030"
    metrics = (
        fraction(
            "miscoverage",
            "How far intervals around explanations are from holding the truth as often as claimed.",
            better="lower",
            null=0.0,
        ),
        fraction(
            "coverage",
            "How often intervals around explanations hold the true effect.",
            better="higher",
            null="coverage_claimed",
        ),
        fraction(
            "coverage_claimed",
            "How often intervals around explanations are said to hold the true effect.",
            better="higher",
            diagnostic=True,
        ),
        Metric(
            "relative_width",
            "How wide intervals around explanations are, compared with the effects themselves.",
            "times the mean size",
            better="lower",
            lower=0.0,
        ),
        Metric(
            "relative_bias",
            "How far explanations are from the truth, compared with the effects themselves.",
            "times the mean size",
            better="lower",
            lower=0.0,
            null=0.0,
            diagnostic=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if system.explainer is None or system.intervals is None:
            return "needs intervals around released explanations (intervention=bayes_lime)"
        return None

    @override
    def measure(self, system: System) -> Measured:
        assert system.intervals is not None
        X, _ = explained_points(system, self.points)
        lime = Lime(self.samples, self.patch_samples, self.sigma, self.target)
        area = lime.neighbourhood(system)
        truth = lime.attributions(system, area, X, Stream.FRESH, TRUTH).double()
        live = truth != 0
        if not live.flatten(1).any(1).all():
            reason = "every true coefficient of some replicate is 0"
            return Measured((), missing=dict.fromkeys(NAMES, reason))
        width, centre, covered = torch.zeros_like(truth), torch.zeros_like(truth), []
        for draw in range(self.draws):
            lower, upper = (end.double() for end in system.intervals(X, draw))
            covered.append(_mean(((lower <= truth) & (truth <= upper)).double(), live))
            width += (upper - lower) / self.draws
            centre += system.explain(X, draw).double() / self.draws
        by_draw = torch.stack(covered)  # [draws, R]
        coverage, size = by_draw.mean(0), _mean(truth.abs(), live)
        bias = _mean((centre - truth).abs(), live) / size
        n = len(X)
        return Measured(
            (
                self.measurement("miscoverage", (coverage - self.level).abs(), n),
                replace(self.measurement("coverage", coverage, n), common_sd=_common_sd(by_draw)),
                self.measurement("coverage_claimed", torch.full_like(coverage, self.level), n),
                self.measurement("relative_width", _mean(width, live) / size, n),
                self.measurement("relative_bias", bias, n),
            ),
            facts={
                **lime.facts(area),
                "level": self.level,
                "draws": self.draws,
                "columns_left_out": int((~live).all(1).all(0).sum()),
            },
        )


def _common_sd(by_draw: Tensor) -> float | None:
    """The standard deviation of the mean coverage over draws [draws, R] that replicates share."""
    draws = by_draw.mean(1)
    return float(draws.std() / len(draws) ** 0.5) if len(draws) > 1 else None


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Means [R] of values [R, n, d] over the marked entries."""
    return (values * where).flatten(1).sum(1) / where.flatten(1).sum(1)
