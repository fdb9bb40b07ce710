"""The averaged probabilities of several models that differ in initialisation and batch order."""

import math
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trustbench.aspects import Aspect
from trustbench.contracts import Forward, Intervention, System
from trustbench.errors import Unsupported

# Member j is the arm's draw STRIDE x j, so that the ensembles of two nearby draws of one arm (the
# `reseed` control, say) share no member.
STRIDE = 1000
_joining: ContextVar[bool] = ContextVar("joining an ensemble", default=False)


class _Joined(Exception):
    """Carries a member's forward out of its own arm, at the point where it would be averaged."""

    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        super().__init__("a member of an ensemble")


@dataclass(frozen=True)
class DeepEnsemble(Intervention):
    """Deploys the mean softmax of replicate r and its reseeded twins on the same half.

    `members` models are averaged; all but the first are trained for it. An attacker who sees the
    system attacks the average.

    Reference: Lakshminarayanan et al. 2017, arXiv 1612.01474, section 2.4 (without adversarial
    training).
    """

    members: Annotated[int, Field(ge=2)] = 5

    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Lakshminarayanan et al. 2017, arXiv 1612.01474"
    dose: ClassVar[tuple[str, ...]] = ("members",)
    deploys: ClassVar[Literal["outputs", "channel", "release"]] = "outputs"

    def deploy(self, system: System) -> System:
        """The system with the averaged forward; raises Unsupported where no twin can be trained.

        The twin's arm has this intervention too. It is stopped where it comes to averaging, so
        that what is averaged is the twin after the same earlier methods as this system.
        """
        if _joining.get():
            raise _Joined(system.forward)
        if system.reseeded is None:
            raise Unsupported(
                "deep_ensemble needs other draws of this arm, and an early-stopped control has none"
            )
        forwards = [system.forward]
        forwards += [_member(system, STRIDE * j) for j in range(1, self.members)]

        def forward(X: Tensor) -> Tensor:
            parts = torch.stack([f(X).log_softmax(-1) for f in forwards])
            return torch.logsumexp(parts, 0) - math.log(len(forwards))

        return replace(system, forward=forward)


def _member(system: System, draw: int) -> Forward:
    """The forward of another draw of the same arm, before any averaging."""
    assert system.reseeded is not None  # checked by the caller
    token = _joining.set(True)
    try:
        return system.reseeded(draw).forward
    except _Joined as joined:
        return joined.forward
    finally:
        _joining.reset(token)
