"""How far a method moves explanations, beyond what another seed moves them (F -> E)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from trustbench.aspects import Aspect
from trustbench.contracts import Array, Evaluator, Measured, Measurement, System
from trustbench.explanations.agreement import (
    Explained,
    GradientMethod,
    by_gradient,
    by_lime,
    mean_over_points,
)
from trustbench.explanations.lime_surrogate import Lime, Stream
from trustbench.explanations.released import explained_points


@dataclass(frozen=True)
class ExplanationShift(Evaluator):
    """One less the rank agreement of explanations with the baseline's, against reseeding.

    `shift` is 1 - mean Spearman over features between this arm's attributions and those of the
    baseline arm on the same halves; `shift_reseed` is the same between the baseline and the
    baseline with another initialisation and batch order, which every retraining brings;
    `shift_excess` is their difference. Both compare with the same attributions of the baseline,
    at points where the two predictions agree (explanations of different classes cannot be
    compared); `same_prediction` is their share. Attributions as in explanation_agreement;
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

    aspect: ClassVar[Aspect | None] = Aspect.EXPLAINABILITY
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    reference: ClassVar[str] = "Black et al. 2022, arXiv 2111.08230"

    def supports(self, system: System) -> str | None:
        """None, or that this is the baseline itself."""
        return None if system.baseline else "the baseline has nothing to shift from"

    def measure(self, system: System) -> Measured:
        """`shift`, its null and their difference, by gradients and by LIME."""
        assert system.baseline is not None
        baseline = system.baseline()
        assert baseline.reseeded is not None
        X, _ = explained_points(system, max(self.points, self.lime_points))
        lime = Lime(self.samples, self.patch_samples, self.sigma)
        three = (system, baseline, baseline.reseeded(1))
        gradients = [by_gradient(s, X[: self.points], self.method) for s in three]
        surrogates = [by_lime(s, X[: self.lime_points], lime, Stream.PROBE) for s in three]
        parts = [_shifts("shift", *gradients), _shifts("shift_lime", *surrogates)]
        return Measured(
            (*parts[0].measurements, *parts[1].measurements, _same(gradients[0], gradients[1])),
            facts={
                "method": self.method,
                "samples": self.samples,
                **parts[0].facts,
                **parts[1].facts,
            },
            missing={**parts[0].missing, **parts[1].missing},
        )


def _shifts(name: str, own: Explained, base: Explained, reseeded: Explained) -> Measured:
    """The shift, its null and its excess, or why one of them is not there."""
    agreement = {name: own.spearman(base), f"{name}_reseed": reseeded.spearman(base)}
    facts = {f"dropped_{k}": int(v.isnan().sum()) for k, v in agreement.items()}
    n = own.values.shape[1]
    means = {k: mean_over_points(v) for k, v in agreement.items()}
    missing = {k: v for k, v in means.items() if isinstance(v, str)}
    shifts = {k: 1 - v for k, v in means.items() if not isinstance(v, str)}
    found = [_shift(k, v, n, 0.0, diagnostic=k != name) for k, v in shifts.items()]
    if missing:
        missing[f"{name}_excess"] = next(iter(missing.values()))
    else:
        excess = shifts[name] - shifts[f"{name}_reseed"]
        found.append(_shift(f"{name}_excess", excess, n, -2.0, diagnostic=True))
    return Measured(tuple(found), facts=facts, missing=missing)


def _shift(name: str, values: Array, n: int, lower: float, *, diagnostic: bool) -> Measurement:
    unit = "1 - rank correlation"
    return Measurement(name, values, False, unit, n, lower, 2.0, diagnostic=diagnostic)


def _same(own: Explained, base: Explained) -> Measurement:
    share = own.with_same_prediction(base).double().mean(1).cpu().numpy()
    n = own.classes.shape[1]
    return Measurement("same_prediction", share, True, "fraction", n, 0.0, 1.0, diagnostic=True)
