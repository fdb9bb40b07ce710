"""LIME explanations released with credible intervals."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import System
from trustbench.methods.explanations.bayes_lime import intervals
from trustbench.methods.explanations.lime_settings import READS, ReleasedLime
from trustbench.methods.explanations.released import lime_meaning, release


@dataclass(frozen=True)
class BayesLimeRelease(ReleasedLime):
    """Explains predictions by LIME, with credible intervals of probability `level`.

    The attributions are those of `lime` with the same fields, which are the posterior means.
    `intervals` are the central credible intervals of Student t marginals. They cover the sampling
    error of `samples` perturbations, not that of a surrogate that does not fit. Nothing is
    retrained.

    Reference: Slack et al. 2021, arXiv 2008.05030, section 3.
    """

    level: Annotated[float, Field(gt=0, lt=1)] = 0.95

    reads_rows: ClassVar = READS
    reference: ClassVar[str] = "Slack et al. 2021, arXiv 2008.05030"

    @override
    def deploy(self, system: System) -> System:
        lime = self.surrogate
        area = lime.neighbourhood(system)

        def around(X: Tensor, repeat: int) -> tuple[Tensor, Tensor]:
            return intervals(lime, system, area, X, self.level, repeat)

        return release(system, lime.released(system, area), lime_meaning(area), around)
