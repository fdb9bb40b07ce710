"""Input gradients released with every prediction."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from trustbench.contracts import Intervention, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations import gradients
from trustbench.methods.explanations.released import release
from trustbench.methods.explanations.targets import Target


@dataclass(frozen=True)
class SaliencyRelease(Intervention):
    """The system explains each prediction by the gradient in its input. Nothing is retrained.

    The gradient of the `target` of the predicted class; that of the probability is what
    membership attacks on explanations read. Signs are kept. No random numbers.

    Reference: Simonyan et al. 2013, arXiv 1312.6034, section 3; Shokri et al. 2021,
    arXiv 1907.00164 (what it leaks).
    """

    target: Target = "probability"

    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Simonyan et al. 2013, arXiv 1312.6034"

    def deploy(self, system: System) -> System:
        """The system with `explainer` open."""

        def explain(X: Tensor, _: int) -> Tensor:
            return gradients.saliency(system, X, self.target)

        return release(system, explain, "slopes")
