"""What an engine offers the training loop, and which engine suits a module and a device.

`stacked` holds the parameters of all replicates as one tensor per name, {name: [R, *p]}, and
computes all gradients at once: in closed form for chains of linear layers, through torch.func
for every other module. `opacus` runs one replicate at a time through Opacus' per-sample hooks;
it takes any module that Opacus takes, and is the oracle of the other. Both end in the same
parameters, given the same batches and the same noise.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from trustbench.errors import ConfigError

if TYPE_CHECKING:
    from trustbench.contracts import Problem

Params = dict[str, Tensor]
EngineName = Literal["stacked", "opacus"]
# Logits [R', B, V, C] of the replicates in the slice -> their per-example loss [R', B].
Loss = Callable[[Tensor, slice], Tensor]
# Per-example gradient norms [R, B] -> the factor on each example's gradient [R, B].
Coefficients = Callable[[Tensor], Tensor]


class Gradient(NamedTuple):
    """The sum over a batch of (scaled) per-example gradients, and the loss of each example."""

    total: Params  # {name: [R, *p]}
    loss: Tensor  # [R, B]


class Engine(Protocol):
    """Forward and gradient of R replicates."""

    name: EngineName
    why: str

    def forward(self, params: Mapping[str, Tensor], X: Tensor) -> Tensor:
        """X [R, n, *shape] -> logits [R, n, C], differentiable in X."""
        ...

    def gradient(
        self,
        params: Mapping[str, Tensor],
        X: Tensor,
        loss: Loss,
        coefficients: Coefficients | None = None,
    ) -> Gradient:
        """The gradient of the summed loss on X [R, B, V, *shape].

        With `coefficients`, each example's gradient (the sum over its V views) is scaled by a
        factor that depends on its own norm only: that is what differential privacy needs.
        """
        ...


def stack(modules: list[nn.Module]) -> Params:
    """The parameters of R modules of one architecture as {name: [R, *p]}."""
    names = [name for name, _ in modules[0].named_parameters()]
    found = [dict(m.named_parameters()) for m in modules]
    return {n: torch.stack([f[n].detach() for f in found]).contiguous() for n in names}


def is_linear_chain(module: nn.Module) -> bool:
    """Whether a module is a chain of Linear, Tanh and ReLU layers (closed-form gradients)."""
    from trustbench.training.linear_chain import LAYERS

    return isinstance(module, nn.Sequential) and all(type(m) in LAYERS for m in module)


def choose(asked: str, module: nn.Module, problem: "Problem", device: torch.device) -> Engine:
    """The engine that will train replicates of `module`; ConfigError when it cannot.

    Stacking pays on a CPU for small chains (3-8 times faster than a loop) and not for
    convolutions (0.8 times); on CUDA the steps are launch-bound and stacking always pays.
    """
    from trustbench.training.functional import FunctionalEngine
    from trustbench.training.linear_chain import LinearChainEngine
    from trustbench.training.opacus_engine import OpacusEngine

    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules()):
        raise ConfigError(
            "model: BatchNorm couples the examples of a batch, so neither DP-SGD nor a paired "
            "baseline can use it; replace it by GroupNorm."
        )
    shape = problem.shape
    if asked == "opacus":
        return OpacusEngine(module, shape, why="asked for")
    if is_linear_chain(module):
        why = "asked for" if asked == "stacked" else "a chain of linear layers: closed form"
        return LinearChainEngine(module, shape, why=why)
    if asked == "stacked" or device.type == "cuda":
        why = "asked for" if asked == "stacked" else "CUDA: steps are launch-bound"
        return FunctionalEngine(module, shape, why=why)
    return OpacusEngine(module, shape, why="not a linear chain, on a CPU: stacking would be slower")
