"""Whether local explanations describe the replicates: surrogate fidelity and faithfulness."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Access, Array, Evaluator, Measured, Metric, RowRedraw, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.deletion import deletion
from trustbench.methods.explanations.lime_surrogate import Lime, Stream, flatten
from trustbench.methods.explanations.targets import Target


@dataclass(frozen=True)
class Explainability(Evaluator):
    """How well LIME surrogates hold on unseen perturbations, and whether predictions obey them.

    The primary metric is `lime_r2`: the R2 on held-out perturbations of a local linear surrogate of
    the logit margin of the predicted class, fitted on equally many others and averaged over
    `points` test rows (the same rows and perturbations for every replicate and arm), along with
    `lime_r2_median` and `lime_r2_p10`. `deletion` is the fall of the predicted probability when the
    `deleted` share of parts with the largest effect is set to the pool's mean, minus the fall under
    random choices, relative to the probability. Rows whose target does not vary have no R2; they
    are dropped and counted. See `Lime` for the other fields.

    Reference: Ribeiro et al. 2016, arXiv 1602.04938; Samek et al. 2017, arXiv 1509.06321.
    """

    points: Annotated[int, Field(ge=2)] = 60
    samples: Annotated[int, Field(ge=20)] = 1000
    patch_samples: Annotated[int, Field(ge=20)] = 400
    sigma: Annotated[float, Field(ge=0)] = 0.0
    target: Target = "margin"
    deleted: Annotated[float, Field(gt=0, lt=1)] = 0.2
    random_draws: Annotated[int, Field(ge=1)] = 5

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect | None] = Aspect.EXPLAINABILITY
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries"})
    reference: ClassVar[str] = "Ribeiro et al. 2016, arXiv 1602.04938"
    metrics = (
        Metric(
            "lime_r2",
            "How well a simple local explanation predicts the model near the row it explains.",
            "R2",
            better="higher",
            upper=1.0,
        ),
        Metric(
            "lime_r2_median",
            "How well a simple local explanation predicts the model, at a typical row.",
            "R2",
            better="higher",
            upper=1.0,
        ),
        Metric(
            "lime_r2_p10",
            "How well a simple local explanation predicts the model, at a row hard to explain.",
            "R2",
            better="higher",
            upper=1.0,
        ),
        Metric(
            "deletion",
            "How much more the prediction falls without the parts that the explanation names "
            "first than without random ones.",
            "fraction",
            better="higher",
            null=0.0,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        lime = Lime(self.samples, self.patch_samples, self.sigma, self.target)
        area = lime.neighbourhood(system)
        streams = system.streams
        n_test = len(system.problem.splits["test"])
        rows = streams.numpy("explanations", Stream.POINTS).permutation(n_test)[: self.points]
        X = system.tensor(system.problem.rows("test")[0][rows])
        fits = lime.fits(system, area, X, Stream.PROBE)
        r2 = fits.r2.cpu().numpy()
        faith = deletion(
            system,
            area,
            X,
            area.effects(fits.coefficients, flatten(system, X)),
            share=self.deleted,
            draws=self.random_draws,
            rng=streams.numpy("explanations", Stream.DELETION),
        )
        fidelity = self._fidelity(r2)
        _, y, group = system.problem.rows("test")
        return Measured(
            (*fidelity.measurements, self.measurement("deletion", faith.mean(1), len(rows))),
            arrays={"r2": r2, "rows": rows},
            facts={
                **lime.facts(area),
                "points": len(rows),
                "dropped": int(np.isnan(r2).sum()),
                "deleted": self.deleted,
            },
            missing=fidelity.missing,
            rows={"lime_r2": r2, "deletion": faith.cpu().numpy()},
            redraw=RowRedraw.of({"r2": r2}, y[rows], group[rows], self._redrawn),
        )

    def _redrawn(self, drawn: Mapping[str, Array], *_: Array) -> Measured:
        return self._fidelity(drawn["r2"])

    def _fidelity(self, r2: Array) -> Measured:
        """Statistics of R2 [R, n] over rows, or the reason for none."""
        names = ("lime_r2", "lime_r2_median", "lime_r2_p10")
        dead = np.flatnonzero(np.isnan(r2).all(axis=1))
        if len(dead):
            reason = (
                "the explained output is constant around every point of replicates "
                f"{', '.join(map(str, dead))}, so R2 is undefined"
            )
            return Measured((), missing=dict.fromkeys(names, reason))
        values = np.nanmean(r2, axis=1), np.nanmedian(r2, axis=1), np.nanpercentile(r2, 10, axis=1)
        found = zip(names, values, strict=True)
        return Measured(tuple(self.measurement(k, v, r2.shape[1]) for k, v in found))
