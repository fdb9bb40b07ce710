"""Chooses the engine for a module and a device."""

import torch
from torch import Tensor, nn

from trustbench.contracts import Problem
from trustbench.errors import FAILURES, ConfigError, first_sentence
from trustbench.training.engines import Engine, stack
from trustbench.training.functional import FunctionalEngine
from trustbench.training.linear_chain import LAYERS, LinearChainEngine
from trustbench.training.module_checks import refuse_unsteady

ROWS = 3


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


def choose(
    requested: str,
    module: nn.Module,
    problem: Problem,
    device: torch.device,
    *,
    tried: bool = False,
) -> Engine:
    """Returns the engine that trains replicates of `module`; raises ConfigError if it cannot.

    On a CPU, stacking pays for small chains (3-8 times faster than a loop) but not for convolutions
    (0.8 times). On CUDA the steps are launch-bound and stacking always pays. `tried` takes one step
    with the engine first, as user code needs it. A module that one engine cannot train
    goes to the other, unless an engine is asked for.
    """
    chain = is_linear_chain(module)
    if not chain:  # a chain passes the checks by construction
        refuse_unsteady(module, problem)
    if chain and requested != "opacus":
        why = "asked for" if requested == "stacked" else "a chain of linear layers: closed form"
        return LinearChainEngine(module, problem.shape, why=why)
    if requested != "auto":
        return _made(requested, module, problem, "asked for", tried)
    if device.type == "cuda":
        order, why = ("stacked", "opacus"), "CUDA: steps are launch-bound"
    else:
        order, why = ("opacus", "stacked"), "not a linear chain, on a CPU: stacking would be slower"
    try:
        return _made(order[0], module, problem, why, tried)
    except ConfigError as error:
        try:
            return _made(order[1], module, problem, f"{order[0]} cannot train it", tried=True)
        except ConfigError:
            raise error from None


def _made(name: str, module: nn.Module, problem: Problem, why: str, tried: bool) -> Engine:
    engine: Engine
    if name == "stacked":
        engine = FunctionalEngine(module, problem.shape, why=why)
    else:
        # Opacus takes seconds to import, and most runs do not need it.
        from trustbench.training.opacus_engine import OpacusEngine

        engine = OpacusEngine(module, problem.shape, why=why)
    if tried:
        _refuse_failing(engine, module, problem, "opacus" if name == "stacked" else "stacked")
    return engine


def _refuse_failing(engine: Engine, module: nn.Module, problem: Problem, other: str) -> None:
    """Raises ConfigError if the engine cannot take a step, or takes a wrong one.

    The gradients of single examples add up to the gradient of their sum. Otherwise a parameter is
    used in a way that the engine does not see, and privacy would be claimed for less than was used.
    """
    params = {n: p.clone() for n, p in stack([module]).items()}
    X = torch.as_tensor(problem.X[problem.splits["train"][:ROWS]])[None, :, None]

    def loss(logits: Tensor, _part: slice) -> Tensor:
        """Cross-entropy of class 0, [R, B]."""
        return logits.mean(2).logsumexp(-1) - logits.mean(2)[..., 0]

    advice = f"or choose engine={other}"
    try:
        engine.forward(params, X[:, :, 0])
        together = engine.gradient(params, X, loss).total
        single = engine.gradient(params, X, loss, lambda norms, _: torch.ones_like(norms)).total
    except FAILURES as error:
        raise ConfigError(
            f"model: the {engine.name} engine cannot take its gradients ({first_sentence(error)}); "
            "write forward with torch operations that act on whole tensors, without .item(), "
            f"`if` on their values and changes in place, {advice}."
        ) from error
    for name, whole in together.items():
        size = float(whole.abs().max())
        if not torch.allclose(whole, single[name], rtol=1e-3, atol=1e-4 * max(size, 1e-3)):
            raise ConfigError(
                f"model: the {engine.name} engine sees only some uses of parameter {name}, so its "
                "per-example gradients would be wrong; use each parameter in the layer that holds "
                f"it, {advice}."
            )
