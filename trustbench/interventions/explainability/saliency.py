"""Input gradients released with every prediction."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Intervention, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations import gradients
from trustbench.methods.explanations.released import release
from trustbench.methods.explanations.targets import Target


@dataclass(frozen=True)
class SaliencyRelease(Intervention):
    """Explains each prediction by its input gradient. Nothing is retrained.

    The gradient is that of the `target` of the predicted class; membership attacks on explanations
    read that of the probability. Signs are kept; the method is deterministic.

    Reference: Simonyan et al. 2013, arXiv 1312.6034, section 3; Shokri et al. 2021,
    arXiv 1907.00164 (what it leaks).
    """

    target: Target = "probability"

    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Simonyan et al. 2013, arXiv 1312.6034"

    @override
    def deploy(self, system: System) -> System:
        def explain(X: Tensor, _: int) -> Tensor:
            return gradients.saliency(system, X, self.target)

        return release(system, explain, "slopes")
