"""LIME explanations released with every prediction."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Intervention, Read, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.lime_surrogate import Lime, Stream
from trustbench.methods.explanations.targets import Target


@dataclass(frozen=True)
class LimeRelease(Intervention):
    """Canonical row E: explains each prediction by LIME. Nothing is retrained.

    An attribution is the slope of the local surrogate in a column, or a pixel's share of its patch
    on images larger than 8x8. Random numbers are drawn once, so repeating a query gives the same
    answer. See `Lime` for the fields.

    Reference: Ribeiro et al. 2016, arXiv 1602.04938, algorithm 1.
    """

    samples: Annotated[int, Field(ge=20)] = 1000
    patch_samples: Annotated[int, Field(ge=20)] = 400
    sigma: Annotated[float, Field(ge=0)] = 0.0
    target: Target = "margin"

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    reads_rows: ClassVar = (Read("pool", "column means and categories", into="answers"),)
    reference: ClassVar[str] = "Ribeiro et al. 2016, arXiv 1602.04938"
    dose: ClassVar[tuple[str, ...]] = ("samples",)

    @override
    def deploy(self, system: System) -> System:
        lime = Lime(self.samples, self.patch_samples, self.sigma, self.target)
        area = lime.neighbourhood(system)

        def explain(X: Tensor, repeat: int) -> Tensor:
            return lime.attributions(system, area, X, Stream.RELEASED, repeat)

        return replace(system, explainer=explain)
