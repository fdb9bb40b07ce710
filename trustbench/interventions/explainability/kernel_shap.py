"""KernelSHAP explanations released with every prediction."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from trustbench.contracts import Intervention, Read, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.kernel_shap import KernelShap
from trustbench.methods.explanations.released import release
from trustbench.methods.explanations.targets import Target


@dataclass(frozen=True)
class KernelShapRelease(Intervention):
    """The system explains each prediction by KernelSHAP values. Nothing is retrained.

    `samples` coalitions, of whole features, are shared by all rows and replicates; with few
    features all coalitions are taken and the values are exact. `background` rows of the pool
    stand in for what a coalition leaves out (0: the pool's mean). The values of a row add up to
    its `target` less the mean target of the background. See `KernelShap`.

    Reference: Lundberg and Lee 2017, arXiv 1705.07874, section 4.1.
    """

    samples: Annotated[int, Field(ge=2)] = 256
    background: Annotated[int, Field(ge=0)] = 5
    target: Target = "margin"

    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    reads_rows: ClassVar = (Read("pool", "background rows", into="answers"),)
    reference: ClassVar[str] = "Lundberg and Lee 2017, arXiv 1705.07874"
    dose: ClassVar[tuple[str, ...]] = ("samples",)

    def deploy(self, system: System) -> System:
        """The system with `explainer` open; ConfigError where `samples` are too few."""
        shap = KernelShap(self.samples, self.background, self.target)
        shap.check(system)

        def explain(X: Tensor, repeat: int) -> Tensor:
            return shap.attributions(system, X, repeat)

        return release(system, explain, "contributions")
