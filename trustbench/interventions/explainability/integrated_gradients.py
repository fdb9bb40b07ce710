"""Integrated gradients released with every prediction."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Intervention, Read, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations import gradients
from trustbench.methods.explanations.released import release
from trustbench.methods.explanations.targets import Target


@dataclass(frozen=True)
class IntegratedGradientsRelease(Intervention):
    """Explains each prediction by gradients averaged along the line from the pool's mean.

    Attributions add up to the `target` at x minus that at the mean, up to the error of `steps`
    midpoints. Nothing is retrained; the method is deterministic.

    Reference: Sundararajan et al. 2017, arXiv 1703.01365, section 3.
    """

    steps: Annotated[int, Field(ge=1)] = 32
    target: Target = "probability"

    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    reads_rows: ClassVar = (Read("pool", "column means", into="answers"),)
    reference: ClassVar[str] = "Sundararajan et al. 2017, arXiv 1703.01365"
    dose: ClassVar[tuple[str, ...]] = ("steps",)

    @override
    def deploy(self, system: System) -> System:
        def explain(X: Tensor, _: int) -> Tensor:
            return gradients.integrated_gradients(system, X, self.target, self.steps)

        return release(system, explain, "contributions")
