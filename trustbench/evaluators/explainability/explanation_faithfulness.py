"""Whether predictions obey the explanations released with them (E -> E)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Access, Evaluator, Measured, Metric, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.deletion import deletion
from trustbench.methods.explanations.insertion import insertion
from trustbench.methods.explanations.neighbourhood_base import Neighbourhood
from trustbench.methods.explanations.neighbourhoods import neighbourhood
from trustbench.methods.explanations.released import explained_points, part_effects


@dataclass(frozen=True)
class ExplanationFaithfulness(Evaluator):
    """Deletion and insertion of the parts that the released explanation names first.

    `deletion_released` is the fall of the predicted probability when the `share` of parts with the
    largest supporting effect is set to the pool's mean, minus the fall under random choices.
    `insertion_released` is the probability with only those parts in place, minus that with random
    ones. Both are relative to the probability. The effect of a part is what it adds over the mean
    according to the attributions, see `part_effects`.

    There are two controls. `deletion_random` and `insertion_random` use random effects; they are 0
    up to noise. `deletion_noise` and `insertion_noise` use attributions of pure noise: if
    attributions are slopes, even those name the columns in which a row is unusual, and score above
    0 for that alone. The rows and the random choices are the same for every replicate and arm.

    Reference: Samek et al. 2017, arXiv 1509.06321, section 3; Petsiuk et al. 2018,
    arXiv 1806.07421, section 4.1.
    """

    points: Annotated[int, Field(ge=1)] = 100
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    random_draws: Annotated[int, Field(ge=1)] = 5

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect | None] = Aspect.EXPLAINABILITY
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "explainer"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries"})
    reference: ClassVar[str] = "Samek et al. 2017, arXiv 1509.06321"
    metrics = (
        Metric(
            "deletion_released",
            "How much more the prediction falls without what the explanation names first than "
            "without random parts.",
            "fraction",
            better="higher",
            null="deletion_noise",
        ),
        Metric(
            "insertion_released",
            "How much more of the prediction stays with what the explanation names first than "
            "with random parts.",
            "fraction",
            better="higher",
            null="insertion_noise",
        ),
        Metric(
            "<deletion|insertion>_random",
            "What random choices of parts score, which is zero up to noise.",
            "fraction",
            better="higher",
            null=0.0,
            diagnostic=True,
        ),
        Metric(
            "<deletion|insertion>_noise",
            "What an explanation of pure noise scores.",
            "fraction",
            better="higher",
            diagnostic=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if system.explainer is None:
            return "needs released explanations (intervention=lime)"
        return None

    @override
    def measure(self, system: System) -> Measured:
        area = neighbourhood(system.problem, 0.0, system.device)
        X, rows = explained_points(system, self.points)
        released = part_effects(system, area, system.explain(X), X)
        rng = system.streams.numpy("explanations", "random_effects")
        random = system.tensor(rng.standard_normal(released.shape))
        columns = (*released.shape[:2], system.problem.n_features)
        noise = system.tensor(rng.standard_normal(columns))
        kinds = {
            "released": released,
            "random": random,
            "noise": part_effects(system, area, noise, X),
        }
        each = {
            f"{name}_{kind}": self._faith(name, system, area, X, kinds[kind])
            for kind in kinds
            for name in ("deletion", "insertion")
        }
        found = [self.measurement(name, faith.mean(1), len(X)) for name, faith in each.items()]
        facts = {"points": len(rows), "share": self.share, "parts": area.parts}
        of_rows = {name: faith.cpu().numpy() for name, faith in each.items()}
        return Measured(tuple(found), arrays={"rows": rows}, facts=facts, rows=of_rows)

    def _faith(
        self, name: str, system: System, area: Neighbourhood, X: Tensor, effects: Tensor
    ) -> Tensor:
        """Each point's score [R, n]; every call draws the same random choices."""
        score = deletion if name == "deletion" else insertion
        rng = system.streams.numpy("explanations", "removed_parts")
        return score(system, area, X, effects, share=self.share, draws=self.random_draws, rng=rng)
