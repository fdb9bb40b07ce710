"""The model's probabilities, averaged over Gaussian noise on its input."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Intervention, Problem, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import unattackable
from trustbench.methods.attacks.smoothing import Smoothed, draws

STREAM = "deployed"  # of the noise, see smoothing.draws


@dataclass(frozen=True)
class RandomisedSmoothing(Intervention):
    """Deploys the mean softmax over `samples` noise draws of deviation `sigma` per input column.

    Noise is in the model's scaled space, on the columns that an attacker may move. The draws are
    made once and serve all rows, so the deployed classifier is deterministic and attacks see its
    true gradient. Every output costs `samples` forward passes. The evaluator `certified` measures
    what smoothing certifies, with many more draws. Nothing is retrained: if the model never saw
    noise, accuracy falls as sigma grows.

    Reference: Cohen et al. 2019, arXiv 1902.02918; Salman et al. 2019, arXiv 1906.04584, section
    2.1 (averaging probabilities).
    """

    sigma: Annotated[float, Field(gt=0)] = 0.25
    samples: Annotated[int, Field(ge=1)] = 16

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Cohen et al. 2019, arXiv 1902.02918"
    dose: ClassVar[tuple[str, ...]] = ("sigma",)
    deploys: ClassVar[Literal["outputs", "channel", "release"]] = "outputs"

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return unattackable(problem)

    @override
    def deploy(self, system: System) -> System:
        like = torch.zeros((), dtype=torch.float32, device=system.device)
        noise = draws(system, self.sigma, self.samples, like, STREAM)
        return replace(system, forward=Smoothed(system.forward, noise))
