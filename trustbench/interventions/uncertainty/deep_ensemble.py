"""Averages the probabilities of several models that differ in initialisation and batch order."""

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Intervention, System
from trustbench.contracts.aspects import Aspect
from trustbench.errors import Unsupported

# Member j is the arm's draw STRIDE x j, so that the ensembles of two neighbouring draws of one arm
# (the `reseed` control, say) share no member.
STRIDE = 1000


@dataclass(frozen=True)
class DeepEnsemble(Intervention):
    """Deploys the mean softmax of replicate r and its reseeded twins on the same half.

    `members` models are averaged, of which all but the first are trained for this purpose. An
    attacker with access to the system attacks the average.

    Reference: Lakshminarayanan et al. 2017, arXiv 1612.01474, section 2.4 (without adversarial
    training).
    """

    members: Annotated[int, Field(ge=2)] = 5

    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Lakshminarayanan et al. 2017, arXiv 1612.01474"
    dose: ClassVar[tuple[str, ...]] = ("members",)
    deploys: ClassVar[Literal["outputs", "channel", "release"]] = "outputs"

    def trained_copies(self) -> int:
        """All averaged models."""
        return self.members

    @override
    def deploy(self, system: System) -> System:
        if system.reseeded is None:
            raise Unsupported("deep_ensemble needs other draws of this arm, but there are none")
        twins = [system.reseeded(STRIDE * j) for j in range(1, self.members)]
        forwards = [system.forward, *(twin.forward for twin in twins)]

        def forward(X: Tensor) -> Tensor:
            parts = torch.stack([f(X).log_softmax(-1) for f in forwards])
            return torch.logsumexp(parts, 0) - math.log(len(forwards))

        return replace(system, forward=forward)
