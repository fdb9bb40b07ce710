"""Whether explanations of the score still match the decision once a rule overrides the score."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Access, Evaluator, Measured, System, fraction
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.lime_surrogate import Lime, Stream
from trustbench.methods.explanations.surrogate_values import surrogate_values


@dataclass(frozen=True)
class PostprocessingDisconnect(Evaluator):
    """How often a local surrogate of the score contradicts the deployed decision.

    A LIME surrogate is fitted around each row to the logit margin of the larger class; the sign of
    its own prediction at the row is the decision that the explanation supports. `disconnect` is how
    often that differs from the deployed decision. `disconnect_raw` is how often it differs from the
    larger logit as well, because of the surrogate's own error; the excess is the effect of deciding
    by another rule. `override_rate` is how often the deployed decision is not the larger logit. Two
    classes only.

    `points` is the number of explained test rows. See `Lime` for `samples`, `patch_samples` and
    `sigma`.

    Reference: Di Gennaro et al. 2024, arXiv 2408.15096 (post-processing that changes decisions
    little); Ribeiro et al. 2016, arXiv 1602.04938 (the surrogate).
    """

    points: Annotated[int, Field(ge=1)] = 200
    samples: Annotated[int, Field(ge=20)] = 500
    patch_samples: Annotated[int, Field(ge=20)] = 200
    sigma: Annotated[float, Field(ge=0)] = 0.0

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect | None] = Aspect.EXPLAINABILITY
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries"})
    reference: ClassVar[str] = "Di Gennaro et al. 2024, arXiv 2408.15096; Ribeiro et al. 2016"
    metrics = (
        fraction(
            "disconnect",
            "How often the explanation speaks for another decision than the one that is made.",
            better="lower",
            null="disconnect_raw",
        ),
        fraction(
            "disconnect_raw",
            "How often the explanation speaks against the model's own prediction.",
            better="lower",
            diagnostic=True,
        ),
        fraction(
            "override_rate",
            "How often the deployed rule decides otherwise than the model predicts.",
            better="lower",
            null=0.0,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if system.decider is None:
            return (
                "needs decisions by a rule of their own (intervention=threshold_postprocessing); "
                "the largest logit decides here"
            )
        if not system.problem.binary:
            return f"needs two classes; this task has {len(system.problem.classes)}"
        return None

    @override
    def measure(self, system: System) -> Measured:
        X, _, group = system.problem.rows("test")
        order = system.streams.numpy("explanations", Stream.POINTS).permutation(len(X))
        rows = order[: self.points]
        chosen = system.tensor(X[rows])
        raw = system.logits(chosen).argmax(-1)
        deployed = system.decide(chosen, group[rows])
        lime = Lime(self.samples, self.patch_samples, self.sigma, "margin")
        area = lime.neighbourhood(system)
        value = surrogate_values(system, lime, area, chosen, Stream.FRESH)
        spoken_for = raw.where(value > 0, 1 - raw)  # the margin is that of the larger logit
        n = len(rows)
        return Measured(
            (
                self.measurement("disconnect", (spoken_for != deployed).double().mean(1), n),
                self.measurement("disconnect_raw", (spoken_for != raw).double().mean(1), n),
                self.measurement("override_rate", (deployed != raw).double().mean(1), n),
            ),
            arrays={"rows": rows},
            facts={"points": n, **lime.facts(area)},
        )
