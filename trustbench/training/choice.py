"""Which engine suits a module and a device."""

import torch
from torch import nn

from trustbench.contracts import Problem
from trustbench.errors import ConfigError
from trustbench.training.engines import Engine
from trustbench.training.functional import FunctionalEngine
from trustbench.training.linear_chain import LAYERS, LinearChainEngine


def is_linear_chain(module: nn.Module) -> bool:
    """Whether a module is a chain of Linear, Tanh and ReLU layers (closed-form gradients)."""
    return isinstance(module, nn.Sequential) and all(type(m) in LAYERS for m in module)


def choose(asked: str, module: nn.Module, problem: Problem, device: torch.device) -> Engine:
    """The engine that will train replicates of `module`; ConfigError when it cannot.

    Stacking pays on a CPU for small chains (3-8 times faster than a loop) and not for
    convolutions (0.8 times); on CUDA the steps are launch-bound and stacking always pays.
    """
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules()):
        raise ConfigError(
            "model: BatchNorm couples the examples of a batch, so neither DP-SGD nor a paired "
            "baseline can use it; replace it by GroupNorm."
        )
    shape = problem.shape
    if asked == "opacus":
        return _opacus(module, shape, "asked for")
    if is_linear_chain(module):
        why = "asked for" if asked == "stacked" else "a chain of linear layers: closed form"
        return LinearChainEngine(module, shape, why=why)
    if asked == "stacked" or device.type == "cuda":
        why = "asked for" if asked == "stacked" else "CUDA: steps are launch-bound"
        return FunctionalEngine(module, shape, why=why)
    return _opacus(module, shape, "not a linear chain, on a CPU: stacking would be slower")


def _opacus(module: nn.Module, shape: tuple[int, ...], why: str) -> Engine:
    # Opacus takes seconds to import, and most runs never need it.
    from trustbench.training.opacus_engine import OpacusEngine

    return OpacusEngine(module, shape, why=why)
