"""Gradient times input released with every prediction."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Intervention, Read, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations import gradients
from trustbench.methods.explanations.released import release
from trustbench.methods.explanations.targets import Target


@dataclass(frozen=True)
class GradientInputRelease(Intervention):
    """Explains each prediction by gradient times (x - the pool's mean).

    The attributions are first-order contributions of each column to the `target` of the predicted
    class. Nothing is retrained; the method is deterministic.

    Reference: Shrikumar et al. 2016, arXiv 1605.01713, section 2.
    """

    target: Target = "probability"

    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    reads_rows: ClassVar = (Read("pool", "column means", into="answers"),)
    reference: ClassVar[str] = "Shrikumar et al. 2016, arXiv 1605.01713"

    @override
    def deploy(self, system: System) -> System:
        def explain(X: Tensor, _: int) -> Tensor:
            return gradients.gradient_x_input(system, X, self.target)

        return release(system, explain, "contributions")
