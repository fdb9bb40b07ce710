"""LIME explanations released with every prediction."""

from dataclasses import dataclass, replace
from typing import ClassVar

from typing_extensions import override

from trustbench.contracts import System
from trustbench.methods.explanations.lime_settings import READS, ReleasedLime


@dataclass(frozen=True)
class LimeRelease(ReleasedLime):
    """Canonical row E: explains each prediction by LIME. Nothing is retrained.

    An attribution is the slope of the local surrogate in a column, or a pixel's share of its patch
    on images larger than 8x8. Random numbers are drawn once, so repeating a query gives the same
    answer. See `Lime` for the fields.

    Reference: Ribeiro et al. 2016, arXiv 1602.04938, algorithm 1.
    """

    reads_rows: ClassVar = READS
    reference: ClassVar[str] = "Ribeiro et al. 2016, arXiv 1602.04938"

    @override
    def deploy(self, system: System) -> System:
        lime = self.surrogate
        return replace(system, explainer=lime.released(system, lime.neighbourhood(system)))
