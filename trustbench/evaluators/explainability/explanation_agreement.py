"""Whether explanations survive retraining and small changes of the input (P -> E, R -> E)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import (
    Access,
    Evaluator,
    Measured,
    Measurement,
    Metric,
    Need,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import ThreatModel, unattackable
from trustbench.methods.explanations.agreement import (
    Explained,
    GradientMethod,
    by_gradient,
    mean_over_points,
)
from trustbench.methods.explanations.released import explained_points


@dataclass(frozen=True)
class ExplanationAgreement(Evaluator):
    """Agreement of gradient attributions with those of a reseeded twin, and under noise.

    `spearman` is the mean rank correlation over features between this arm and the same arm with
    another initialisation and batch order on the same halves: the agreement of two equally good
    models on the same prediction. `top_k_overlap` is the share of the `top_k` largest that both
    name. `stability` is the rank correlation between E(x) and E(x + noise): Gaussian noise of
    `noise` times each feature's scale, kept within its bounds; immutable and categorical columns do
    not change.

    Attributions are of the logit margin of the predicted class, `method` gradient x input or
    saliency, one number per feature. Points whose two predictions differ explain different
    classes: they are dropped, and `same_prediction` is the share that remains. So are points
    with a constant attribution, which ranks nothing.

    Reference: Black et al. 2022, arXiv 2111.08230 (twins); Alvarez-Melis and Jaakkola 2018,
    arXiv 1806.08049 (stability).
    """

    points: Annotated[int, Field(ge=10)] = 400
    method: GradientMethod = "gradient_x_input"
    top_k: Annotated[int, Field(ge=1)] = 5
    noise: Annotated[float, Field(gt=0)] = 0.1

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect | None] = Aspect.EXPLAINABILITY
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries", "gradients"})
    needs: ClassVar[frozenset[Need]] = frozenset({"reseed"})
    reference: ClassVar[str] = "Black et al. 2022, arXiv 2111.08230"
    metrics = (
        Metric(
            "spearman",
            "How well two models that differ by chance alone agree on why they predict the same.",
            "rank correlation",
            better="higher",
            lower=-1.0,
            upper=1.0,
        ),
        fraction(
            "top_k_overlap",
            "How many of the most important features two models that differ by chance share.",
            better="higher",
        ),
        Metric(
            "stability",
            "How well the explanations of a row and of the same row with a little noise agree.",
            "rank correlation",
            better="higher",
            lower=-1.0,
            upper=1.0,
        ),
        fraction(
            "same_prediction",
            "The share of rows that both models predict alike, so that reasons can be compared.",
            better="higher",
            diagnostic=True,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        X = explained_points(system, self.points)[0]
        own = by_gradient(system, X, self.method)
        twin = by_gradient(system.reseeded(1), X, self.method) if system.reseeded else None
        values = {
            **self._with_twin(system, own, twin),
            "stability": self._stability(system, X, own),
        }
        found: list[Measurement] = []
        missing: dict[str, str] = {}
        facts: dict[str, int] = {}
        for name, each in values.items():
            mean = each if isinstance(each, str) else mean_over_points(each)
            if isinstance(mean, str):
                missing[name] = mean
            else:
                found.append(self.measurement(name, mean, len(X)))
            if not isinstance(each, str):
                facts[f"dropped_{name}"] = int(each.isnan().sum())
        if twin is not None:
            same = own.with_same_prediction(twin).double().mean(1)
            found.append(self.measurement("same_prediction", same, len(X)))
        settings = {"method": self.method, "top_k": self.top_k, "noise": self.noise}
        stable = values["stability"]
        of_rows = {} if isinstance(stable, str) else {"stability": stable.cpu().numpy()}
        return Measured(tuple(found), facts={**settings, **facts}, missing=missing, rows=of_rows)

    def _with_twin(
        self, system: System, own: Explained, twin: Explained | None
    ) -> dict[str, Tensor | str]:
        """Agreement [R, n] with the twin, or the reason for none."""
        if twin is None:
            reason = "this arm has no reseeded twin to agree with"
            if "replicates" not in system.access:
                reason = "needs replicates: the same recipe trained with another seed"
            return {"spearman": reason, "top_k_overlap": reason}
        features = len(system.problem.features)
        if self.top_k >= features:
            overlap: Tensor | str = f"top_k={self.top_k} covers all {features} features"
        else:
            overlap = own.top_overlap(twin, self.top_k)
        return {"spearman": own.spearman(twin), "top_k_overlap": overlap}

    def _stability(self, system: System, X: Tensor, own: Explained) -> Tensor | str:
        fixed = unattackable(system.problem)
        return fixed or own.spearman(by_gradient(system, self._moved(system, X), self.method))

    def _moved(self, system: System, X: Tensor) -> Tensor:
        """X with noise, the same for every arm and replicate."""
        rng = system.streams.numpy("explanations", "random_agreement")
        threat = ThreatModel.of(system.problem, "linf", self.noise, X)
        step = system.tensor(rng.standard_normal(X.shape)).to(X.dtype)
        low, high = threat.whole_box().bounds(X)
        return (X + self.noise * threat.weight * step).clamp(low, high)
