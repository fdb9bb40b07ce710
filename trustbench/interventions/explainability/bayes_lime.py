"""LIME explanations released with credible intervals."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Intervention, Read, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.bayes_lime import intervals
from trustbench.methods.explanations.lime_surrogate import Lime, Stream
from trustbench.methods.explanations.released import lime_meaning, release
from trustbench.methods.explanations.targets import Target


@dataclass(frozen=True)
class BayesLimeRelease(Intervention):
    """Explains predictions by LIME, with credible intervals of probability `level`.

    The attributions are those of `lime` with the same fields, which are the posterior means.
    `intervals` are the central credible intervals of Student t marginals. They cover the sampling
    error of `samples` perturbations, not that of a surrogate that does not fit. Nothing is
    retrained.

    Reference: Slack et al. 2021, arXiv 2008.05030, section 3.
    """

    samples: Annotated[int, Field(ge=20)] = 1000
    patch_samples: Annotated[int, Field(ge=20)] = 400
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    sigma: Annotated[float, Field(ge=0)] = 0.0
    target: Target = "margin"

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    reads_rows: ClassVar = (Read("pool", "column means and categories", into="answers"),)
    reference: ClassVar[str] = "Slack et al. 2021, arXiv 2008.05030"
    dose: ClassVar[tuple[str, ...]] = ("samples",)

    @override
    def deploy(self, system: System) -> System:
        lime = Lime(self.samples, self.patch_samples, self.sigma, self.target)
        area = lime.neighbourhood(system)

        def explain(X: Tensor, repeat: int) -> Tensor:
            return lime.attributions(system, area, X, Stream.RELEASED, repeat)

        def around(X: Tensor, repeat: int) -> tuple[Tensor, Tensor]:
            return intervals(lime, system, area, X, self.level, repeat)

        return release(system, explain, lime_meaning(area), around)
