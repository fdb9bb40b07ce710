"""Monte Carlo dropout: trained with dropout, deployed as the mean of many thinned networks."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from trustbench.contracts import Intervention
from trustbench.contracts.aspects import Aspect


@dataclass(frozen=True)
class MCDropout(Intervention):
    """Drops every hidden unit with probability `rate`, and deploys the mean softmax of `passes`.

    Units are dropped after each hidden activation and the others divided by 1 - rate, in every
    training pass and separately for each view of an example. In deployment `passes` sets of masks
    are drawn once per replicate and serve every row. The system is deterministic, its forward costs
    `passes` forwards, and an attacker with access to it climbs the mean, as attacks on a random
    defence must (EOT: Athalye et al. 2018, arXiv 1802.00420). Validation, early stopping and the
    attacks of adversarial training use the network without masks (weight scaling). `passes: 0`
    deploys that network: plain dropout. Dropout layers of the model itself act in training in
    addition to these masks, and are off in deployment.

    Masks do not depend on the data, and the gradient of an example depends on no other example, so
    under DP-SGD the accounting is unchanged.

    Reference: Gal & Ghahramani 2016, arXiv 1506.02142, section 4; Srivastava et al. 2014.
    """

    rate: Annotated[float, Field(ge=0, lt=1)] = 0.5
    passes: Annotated[int, Field(ge=0)] = 20

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Gal & Ghahramani 2016, arXiv 1506.02142"
    dose: ClassVar[tuple[str, ...]] = ("rate",)

    def hidden(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """0 with probability `rate`, else 1 / (1 - rate): the mean is 1."""
        kept = torch.rand(shape, generator=generator) >= self.rate
        return kept.float().div_(1 - self.rate)

    def draws(self) -> int:
        """The masks that the deployed network averages over."""
        return self.passes
