"""Whether the intervals around released explanations hold what they claim to hold (E -> U)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from trustbench.aspects import Aspect
from trustbench.contracts import Evaluator, Measured, Measurement, System
from trustbench.explanations.agreement import explained_rows


@dataclass(frozen=True)
class IntervalCoverage(Evaluator):
    """The share of released intervals that contain the attribution of very many samples.

    The truth is the mean of the released method over `repeats` sets of random numbers, which no
    measured interval has seen; intervals are those of `draws` others. All rows and replicates
    share one set of random numbers, so that coverage over a single set would be one draw.
    `coverage` is the share over points, columns and draws, `miscoverage` its distance from
    `level`, which the released method claims; `relative_width` is the mean width divided by the
    mean size of the true attributions. Columns whose attribution is 0 in every repeat have
    nothing to cover and are left out.

    The truth is the method's own mean: a bias that it has at every repeat (the ridge penalty
    shrinks coefficients of few samples) is not seen. Its own error adds a share of
    1 / `repeats` to the variance that intervals must cover.

    Reference: Slack et al. 2021, arXiv 2008.05030, section 5 (calibration).
    """

    points: Annotated[int, Field(ge=1)] = 10
    repeats: Annotated[int, Field(ge=2)] = 50
    draws: Annotated[int, Field(ge=1)] = 5
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95

    aspect: ClassVar[Aspect | None] = Aspect.UNCERTAINTY
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "explainer", "intervals"})
    reference: ClassVar[str] = "Slack et al. 2021, arXiv 2008.05030"

    def supports(self, system: System) -> str | None:
        """None, or that no intervals are released."""
        if system.explainer is None or system.intervals is None:
            return "needs intervals around released explanations (intervention=bayes_lime)"
        return None

    def measure(self, system: System) -> Measured:
        """`miscoverage` first, then `coverage` and `relative_width`."""
        assert system.intervals is not None
        X = system.tensor(system.problem.rows("test")[0][explained_rows(system, self.points)])
        truth, live = self._truth(system, X)
        if not live.flatten(1).any(1).all():
            reason = "every released attribution of some replicate is 0"
            return Measured(
                (), missing=dict.fromkeys(("miscoverage", "coverage", "relative_width"), reason)
            )
        inside, width = torch.zeros_like(truth), torch.zeros_like(truth)
        for draw in range(self.draws):
            lower, upper = (end.double() for end in system.intervals(X, draw))
            inside += ((lower <= truth) & (truth <= upper)).double() / self.draws
            width += (upper - lower) / self.draws
        coverage = _mean(inside, live)
        n = len(X)
        return Measured(
            (
                _share("miscoverage", (coverage - self.level).abs(), False, n),
                _share("coverage", coverage, True, n),
                Measurement(
                    "relative_width",
                    (_mean(width, live) / _mean(truth.abs(), live)).cpu().numpy(),
                    higher_is_better=False,
                    unit="widths per mean size",
                    n=n,
                    lower=0.0,
                ),
            ),
            facts={
                "level": self.level,
                "repeats": self.repeats,
                "draws": self.draws,
                "columns_left_out": int((~live).all(1).sum()) // system.replicates,
            },
        )

    def _truth(self, system: System, X: Tensor) -> tuple[Tensor, Tensor]:
        """The mean attribution, and where it is not 0 at every repeat, both [R, n, d]."""
        total, live = torch.zeros(()), torch.zeros((), dtype=torch.bool)
        for repeat in range(self.draws, self.draws + self.repeats):
            found = system.explain(X, repeat).double()
            total, live = total.to(found) + found, live.to(found.device) | (found != 0)
        return total / self.repeats, live


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Means [R] of values [R, n, d] over the entries marked."""
    return (values * where).flatten(1).sum(1) / where.flatten(1).sum(1)


def _share(name: str, values: Tensor, better: bool, n: int) -> Measurement:
    return Measurement(name, values.cpu().numpy(), better, "fraction", n, 0.0, 1.0)
