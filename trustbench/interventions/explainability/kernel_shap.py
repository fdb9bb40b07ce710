"""KernelSHAP explanations released with every prediction."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Intervention, Read, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.kernel_shap import KernelShap
from trustbench.methods.explanations.released import release
from trustbench.methods.explanations.targets import Target


@dataclass(frozen=True)
class KernelShapRelease(Intervention):
    """Explains each prediction by KernelSHAP values. Nothing is retrained.

    All rows and replicates share `samples` coalitions of whole features; with few features all
    coalitions are used and the values are exact. `background` rows of the pool replace what a
    coalition leaves out (0: the pool's mean). The values of a row add up to its `target` minus the
    mean target of the background. See `KernelShap`.

    Reference: Lundberg and Lee 2017, arXiv 1705.07874, section 4.1.
    """

    samples: Annotated[int, Field(ge=2)] = 256
    background: Annotated[int, Field(ge=0)] = 5
    target: Target = "margin"

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    reads_rows: ClassVar = (Read("pool", "background rows", into="answers"),)
    reference: ClassVar[str] = "Lundberg and Lee 2017, arXiv 1705.07874"
    dose: ClassVar[tuple[str, ...]] = ("samples",)

    @override
    def deploy(self, system: System) -> System:
        shap = KernelShap(self.samples, self.background, self.target)
        shap.check(system)

        def explain(X: Tensor, repeat: int) -> Tensor:
            return shap.attributions(system, X, repeat)

        return release(system, explain, "contributions")
