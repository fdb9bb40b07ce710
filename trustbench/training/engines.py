"""What an engine offers the training loop.

`stacked` holds the parameters of all replicates as one tensor per name, {name: [R, *p]}, and
computes all gradients at once: in closed form for chains of linear layers, through torch.func for
every other module. `opacus` runs one replicate at a time through Opacus' per-sample hooks. It takes
any module that Opacus takes, and serves as the reference for the other engine. Both reach the same
parameters from the same batches and the same noise.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from trustbench.training.dropout import Places
from trustbench.training.hidden import Factors, Sites

Params = dict[str, Tensor]
EngineName = Literal["stacked", "opacus"]
# Logits [R', B, V, C] of the replicates in the slice -> their per-example loss [R', B].
Loss = Callable[[Tensor, slice], Tensor]
# Per-example gradient norms [R', B] of the replicates in the slice -> the factor on each [R', B].
Coefficients = Callable[[Tensor, slice], Tensor]


class Gradient(NamedTuple):
    """The sum over a batch of (scaled) per-example gradients, and the loss of each example."""

    total: Params  # {name: [R, *p]}, of the parameters that are trained
    loss: Tensor  # [R, B]


class Engine(Protocol):
    """Forward and gradient of R replicates.

    Forward passes run in evaluation mode, in which replicates are deployed and attacked. The
    gradient of a training step runs in training mode.
    """

    name: EngineName
    why: str
    shape: tuple[int, ...]  # of one input
    module: nn.Module  # one replicate in evaluation mode, whose own parameters are never read
    dropouts: Places  # the dropout layers of the module itself; `gradient` receives their masks
    trained: frozenset[str]  # the parameters that are trained; the others are frozen
    fewest: int  # the fewest replicates in one call whose numbers are those of a call with all

    @property
    def sites(self) -> Sites:
        """The hidden activations that factors can act on, with the shape of their units."""
        ...

    def forward(
        self, params: Mapping[str, Tensor], X: Tensor, factors: Factors | None = None
    ) -> Tensor:
        """Maps X [R, n, *shape] or [n, *shape] to logits [R, n, C], differentiably in X.

        `factors` {site: [R, n or 1, *unit]} multiply the hidden activations.
        """
        ...

    def gradient(
        self,
        params: Mapping[str, Tensor],
        X: Tensor,
        loss: Loss,
        coefficients: Coefficients | None = None,
        factors: Factors | None = None,
    ) -> Gradient:
        """The gradient of the summed loss on X [R, B, V, *shape], over the trained parameters.

        `coefficients` scale the gradient of each example (the sum over its V views) by a factor
        that depends only on its own norm, as differential privacy requires. `factors` {site or
        dropout: [R, B, V, *unit]} multiply the hidden activations and replace dropout layers; a
        layer without masks drops nothing.
        """
        ...


def trained(module: nn.Module) -> frozenset[str]:
    """The names of the parameters that are not frozen (`requires_grad=False`)."""
    return frozenset(n for n, p in module.named_parameters() if p.requires_grad)


def stack(modules: list[nn.Module]) -> Params:
    """The parameters of R modules of one architecture as {name: [R, *p]}."""
    names = [name for name, _ in modules[0].named_parameters()]
    found = [dict(m.named_parameters()) for m in modules]
    return {n: torch.stack([f[n].detach() for f in found]).contiguous() for n in names}
