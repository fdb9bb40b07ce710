"""Gradients averaged over noisy copies, released with every prediction."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Intervention, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations import gradients
from trustbench.methods.explanations.released import release
from trustbench.methods.explanations.targets import Target


@dataclass(frozen=True)
class SmoothGradRelease(Intervention):
    """Explains each prediction by its mean gradient over `samples` noisy copies.

    `sigma` is the noise of standardised columns, and a share of the value range for pixels;
    categories do not change. The noise is drawn once, so repeating a query gives the same answer;
    another `repeat` gives another one. Nothing is retrained.

    Reference: Smilkov et al. 2017, arXiv 1706.03825, section 3.
    """

    samples: Annotated[int, Field(ge=1)] = 25
    sigma: Annotated[float, Field(ge=0)] = 0.15
    target: Target = "probability"

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Smilkov et al. 2017, arXiv 1706.03825"
    dose: ClassVar[tuple[str, ...]] = ("samples", "sigma")

    @override
    def deploy(self, system: System) -> System:
        def explain(X: Tensor, repeat: int) -> Tensor:
            return gradients.smoothgrad(system, X, self.target, self.samples, self.sigma, repeat)

        return release(system, explain, "slopes")
