"""How far a method moves explanations, beyond the effect of another seed (F -> E)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Access, Evaluator, Measured, Metric, Need, System, fraction
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.agreement import (
    Explained,
    GradientMethod,
    by_gradient,
    by_lime,
    mean_over_points,
)
from trustbench.methods.explanations.lime_surrogate import Lime, Stream
from trustbench.methods.explanations.released import explained_points


@dataclass(frozen=True)
class ExplanationShift(Evaluator):
    """1 minus the rank agreement of explanations with the baseline's twin, against reseeding.

    The twin is the baseline on the same halves with another initialisation and batch order, which
    belong neither to this arm nor to the baseline. `shift` is 1 - mean Spearman over features
    between this arm's attributions and the twin's. `shift_reseed` is the same between the baseline
    and the twin, the effect of any retraining. `shift_excess` is their difference. Both sides thus
    differ from the twin by another seed, and the arm also by its method. Compared with the baseline
    itself, which has the arm's seed, an arm would look closer than chance.

    Both sides are read at the same points, where the three predictions agree (explanations of
    different classes cannot be compared) and none of the three attributions is constant;
    `same_prediction` is the share that the arm and the twin agree on. Attributions as in
    explanation_agreement;
    `shift_lime`, `shift_lime_reseed` and `shift_lime_excess` are those of LIME's effects at the
    first `lime_points` points, with the same perturbations for all systems.

    Reference: Black et al. 2022, arXiv 2111.08230 (what reseeding moves).
    """

    points: Annotated[int, Field(ge=10)] = 400
    method: GradientMethod = "gradient_x_input"
    lime_points: Annotated[int, Field(ge=10)] = 40
    samples: Annotated[int, Field(ge=20)] = 500
    patch_samples: Annotated[int, Field(ge=20)] = 200
    sigma: Annotated[float, Field(ge=0)] = 0.0

    version: ClassVar[int] = 3
    aspect: ClassVar[Aspect | None] = Aspect.EXPLAINABILITY
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries", "gradients"})
    needs: ClassVar[frozenset[Need]] = frozenset({"baseline", "baseline_reseed"})
    reference: ClassVar[str] = "Black et al. 2022, arXiv 2111.08230"
    metrics = (
        Metric(
            "shift",
            "How far the method moves the model's reasons for predictions that stay the same.",
            "1 - rank correlation",
            better="lower",
            lower=0.0,
            upper=2.0,
            null="shift_reseed",
        ),
        Metric(
            "shift_lime",
            "How far the method moves the model's reasons, by local surrogates.",
            "1 - rank correlation",
            better="lower",
            lower=0.0,
            upper=2.0,
            null="shift_lime_reseed",
        ),
        Metric(
            "shift<|_lime>_reseed",
            "How far retraining with another seed moves the model's reasons, without the method.",
            "1 - rank correlation",
            better="lower",
            lower=0.0,
            upper=2.0,
            diagnostic=True,
        ),
        Metric(
            "shift<|_lime>_excess",
            "How much farther the method moves the model's reasons than another seed does.",
            "1 - rank correlation",
            better="lower",
            lower=-2.0,
            upper=2.0,
            null=0.0,
            diagnostic=True,
        ),
        fraction(
            "same_prediction",
            "The share of rows that both models predict alike, so that reasons can be compared.",
            better="higher",
            diagnostic=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if "replicates" not in system.access:
            return "needs replicates: the same recipe without a method, and with another seed"
        return None if system.baseline else "the baseline has nothing to shift from"

    @override
    def measure(self, system: System) -> Measured:
        assert system.baseline is not None
        baseline = system.baseline()
        assert baseline.reseeded is not None
        X, _ = explained_points(system, max(self.points, self.lime_points))
        lime = Lime(self.samples, self.patch_samples, self.sigma)
        # a reseed control has the draw of the baseline's first twin: its reference is the second
        three = (system, baseline, baseline.reseeded(system.draw + 1))
        gradients = [by_gradient(s, X[: self.points], self.method) for s in three]
        surrogates = [by_lime(s, X[: self.lime_points], lime, Stream.PROBE) for s in three]
        same = gradients[0].with_same_prediction(gradients[2]).double()
        agreed = self.measurement("same_prediction", same.mean(1), same.shape[1])
        return Measured.joined(
            (
                Measured((), facts={"method": self.method, "samples": self.samples}),
                self._shifts("shift", *gradients),
                self._shifts("shift_lime", *surrogates),
                Measured((agreed,)),
            )
        )

    def _shifts(self, name: str, own: Explained, base: Explained, twin: Explained) -> Measured:
        """The shift, its null and its excess, or the reason for none."""
        names = (name, f"{name}_reseed", f"{name}_excess")
        sides = own.spearman(twin), base.spearman(twin)
        together = (sides[0] + sides[1]).isnan() | ~own.with_same_prediction(base)
        facts = {f"dropped_{name}": int(together.sum())}
        means = [mean_over_points(side.masked_fill(together, torch.nan)) for side in sides]
        shifts = [1 - m for m in means if not isinstance(m, str)]
        if len(shifts) < len(means):
            return Measured((), facts=facts, missing=dict.fromkeys(names, str(means[0])))
        n, values = own.values.shape[1], (*shifts, shifts[0] - shifts[1])
        found = [self.measurement(k, v, n) for k, v in zip(names, values, strict=True)]
        return Measured(tuple(found), facts=facts)
