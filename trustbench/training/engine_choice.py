"""Chooses the engine for a module and a device."""

import torch
from torch import nn

from trustbench.contracts import Problem
from trustbench.training.engines import Engine
from trustbench.training.functional import FunctionalEngine
from trustbench.training.linear_chain import LAYERS, LinearChainEngine
from trustbench.training.module_checks import refuse_unsteady


def is_linear_chain(module: nn.Module) -> bool:
    """Whether a module is a chain of Linear, Tanh, ReLU and Dropout layers, and nothing else.

    Their gradients have a closed form. A module that does more than call each layer once, in order,
    does not count: it has its own forward or hooks, or uses a layer twice.
    """
    return (
        isinstance(module, nn.Sequential)
        and type(module).forward is nn.Sequential.forward
        and len(list(module.named_children())) == len(module)
        and all(type(m) in LAYERS for m in module)
        and not any(m._forward_pre_hooks or m._forward_hooks for m in module.modules())
    )


def choose(asked: str, module: nn.Module, problem: Problem, device: torch.device) -> Engine:
    """Returns the engine that trains replicates of `module`; raises ConfigError if it cannot.

    On a CPU, stacking pays for small chains (3-8 times faster than a loop) but not for convolutions
    (0.8 times). On CUDA the steps are launch-bound and stacking always pays.
    """
    chain = is_linear_chain(module)
    if not chain:  # a chain passes the checks by construction
        refuse_unsteady(module, problem)
    shape = problem.shape
    if asked == "opacus":
        return _opacus(module, shape, "asked for")
    if chain:
        why = "asked for" if asked == "stacked" else "a chain of linear layers: closed form"
        return LinearChainEngine(module, shape, why=why)
    if asked == "stacked" or device.type == "cuda":
        why = "asked for" if asked == "stacked" else "CUDA: steps are launch-bound"
        return FunctionalEngine(module, shape, why=why)
    return _opacus(module, shape, "not a linear chain, on a CPU: stacking would be slower")


def _opacus(module: nn.Module, shape: tuple[int, ...], why: str) -> Engine:
    # Opacus takes seconds to import, and most runs do not need it.
    from trustbench.training.opacus_engine import OpacusEngine

    return OpacusEngine(module, shape, why=why)
