"""Divides logits by one number, fitted to calibrate the probabilities."""

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from trustbench.contracts import Intervention, Learnt, Read, System
from trustbench.contracts.aspects import Aspect

COLDEST, HOTTEST = 0.01, 100.0
HALVINGS = 60  # of the interval of log temperatures; leaves less than 1e-16 of it


@dataclass(frozen=True)
class TemperatureScaling(Intervention):
    """One temperature per replicate that minimises the validation negative log-likelihood.

    Decisions do not change, since dividing logits preserves their order. The validation split also
    chooses the epoch in the tuned regime; its labels have no other use. A temperature lies between
    .01 and 100: without any validation error the likelihood has no maximum.

    Reference: Guo et al. 2017, arXiv 1706.04599, section 4.2.
    """

    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reads_rows: ClassVar = (Read("validation", "the likeliest temperature", into="answers"),)
    reference: ClassVar[str] = "Guo et al. 2017, arXiv 1706.04599"
    deploys: ClassVar[Literal["outputs", "channel", "release"]] = "outputs"

    def deploy(self, system: System) -> System:
        """Returns the system with scaled logits; its facts include the mean temperature."""
        fitted = system.learn("temperature", partial(_fitted, system)).tensors["temperature"]
        plain = system.forward

        def forward(X: Tensor) -> Tensor:
            logits = plain(X)
            return logits / fitted.to(logits.dtype)[:, None, None]

        facts = {**system.facts, "temperature": float(fitted.mean())}
        return replace(system, forward=forward, facts=facts)


def _fitted(system: System) -> Learnt:
    y = system.tensor(system.problem.rows("validation")[1])
    return Learnt({"temperature": temperatures(system.split_logits("validation").double(), y)})


def temperatures(logits: Tensor, y: Tensor) -> Tensor:
    """The temperature [R] of least mean negative log-likelihood of logits [R, n, C], labels [n].

    The likelihood is log-concave in the inverse temperature b, so the sign of its slope E_b[z] -
    z_y, averaged over rows, shows on which side the optimum lies; bisection finds it.
    """
    true = logits.gather(-1, y.expand(logits.shape[:2]).unsqueeze(-1)).squeeze(-1)
    low = torch.full_like(logits[:, 0, 0], 1 / HOTTEST).log()
    high = torch.full_like(low, 1 / COLDEST).log()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        p = (middle.exp()[:, None, None] * logits).softmax(-1)
        slope = ((p * logits).sum(-1) - true).mean(1)
        # 0 is an underflow if no row is wrong: the likelihood still grows with b.
        low, high = torch.where(slope <= 0, middle, low), torch.where(slope <= 0, high, middle)
    return (-(low + high) / 2).exp()
