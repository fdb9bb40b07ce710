"""Accuracy that randomised smoothing certifies within a radius."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Access, Array, Evaluator, Measured, Metric, System, fraction
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import unattackable
from trustbench.methods.attacks.evasion.targets import targets
from trustbench.methods.attacks.smoothing import (
    NOISE,
    Smoothed,
    certified_radius,
    lower_bound,
    spread,
    votes,
)


@dataclass(frozen=True)
class CertifiedAccuracy(Evaluator):
    """Accuracy of the smoothed classifier that no l2 perturbation within a radius can change.

    `guesses` draws choose the class, `samples` fresh ones bound its probability from below
    (one-sided Clopper-Pearson at `alpha`). Noise of `sigma` and the radii are in the model's
    scaled space, in units of each column's scale, on the columns that an attacker may move;
    the certificate says nothing about the others. `certified_accuracy_r` is the share of
    points that are right and certified beyond r, for each of `radii`; `smoothed_accuracy` is
    it at r = 0 (abstaining is wrong); `average_certified_radius` counts wrong points as 0. The
    bound holds for each point with confidence 1 - alpha. An arm that already deploys a smoothed
    classifier is certified on the model inside, at this sigma: it is the same classifier.

    `points` is the maximum number of test rows.

    Reference: Cohen et al. 2019, arXiv 1902.02918, algorithms 1 and 2; Zhai et al. 2020, arXiv
    2001.02378, section 5 (average certified radius).
    """

    sigma: Annotated[float, Field(gt=0)] = 0.25
    radii: Annotated[tuple[float, ...], Field(min_length=1)] = (0.1, 0.25, 0.5)
    guesses: Annotated[int, Field(ge=1)] = 100
    samples: Annotated[int, Field(ge=10)] = 1000
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.001
    points: Annotated[int, Field(ge=1)] = 100

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"queries"})
    reference: ClassVar[str] = "Cohen et al. 2019, arXiv 1902.02918"
    metrics = (
        fraction(
            "certified_accuracy_<radius>",
            "The share of test points that are provably correct under any change up to a radius.",
            better="higher",
        ),
        fraction(
            "smoothed_accuracy",
            "The share of test points that the smoothed model decides correctly and surely.",
            better="higher",
        ),
        Metric(
            "average_certified_radius",
            "How large a change of the inputs is provably harmless, on average.",
            "radius",
            better="higher",
            lower=0.0,
            upper="largest radius that the draws can certify",
        ),
        fraction(
            "abstained",
            "The share of test points for which the smoothed model gives no answer.",
            better="lower",
            diagnostic=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        return unattackable(system.problem)

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        guessed, radius = self._certify(system)
        right = guessed == at.y.cpu().numpy()
        n, largest = len(at.y), self._largest()
        kept = {f"certified_accuracy_{r:g}": right & (radius > r) for r in self.radii}
        kept["smoothed_accuracy"] = right & (radius > 0)
        each = np.where(right & (radius > 0), radius, 0.0)
        return Measured(
            measurements=(
                *(self.measurement(k, v.mean(1), n) for k, v in kept.items()),
                self.measurement("average_certified_radius", each.mean(1), n, upper=largest),
                self.measurement("abstained", (radius < 0).mean(1), n),
            ),
            rows={**kept, "average_certified_radius": each, "abstained": radius < 0},
            arrays={"radius": radius},
            facts={
                "sigma": self.sigma,
                "alpha": self.alpha,
                "samples": self.samples,
                "largest_radius": largest,
            },
        )

    def _certify(self, system: System) -> tuple[Array, Array]:
        """The guessed class and its certified radius (-1: abstains), both [R, n]."""
        X = targets(system, self.points).X[0]
        if isinstance(system.forward, Smoothed):
            system = replace(system, forward=system.forward.base)
        deviation = spread(system.problem, self.sigma, X)

        def count(samples: int, stream: str) -> Array:
            generator = system.streams.torch("attacks", NOISE, stream)
            return votes(system.logits, X, deviation, samples, generator).cpu().numpy()

        guessed = count(self.guesses, "guess").argmax(-1)
        hits = np.take_along_axis(count(self.samples, "bound"), guessed[..., None], -1)[..., 0]
        return guessed, certified_radius(lower_bound(hits, self.samples, self.alpha), self.sigma)

    def _largest(self) -> float:
        """The radius of a point on which all samples agree: the maximum for this many samples."""
        agreed = lower_bound(np.array(self.samples), self.samples, self.alpha)
        return max(0.0, float(certified_radius(agreed, self.sigma)))
