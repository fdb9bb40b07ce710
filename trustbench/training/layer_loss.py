"""The `layer_loss` hooks: losses that read the layers of the network instead of its logits."""

from dataclasses import replace

import torch
from torch import Tensor

from trustbench.contracts import Batch, Intervention
from trustbench.errors import ConfigError
from trustbench.training.engines import Params
from trustbench.training.hooks import Memory, forward
from trustbench.training.layers import chain_of
from trustbench.training.state import Trainer


def methods(trainer: Trainer) -> list[tuple[int, Intervention]]:
    """The methods that fill the hook, with their positions."""
    return [(k, i) for k, i in enumerate(trainer.interventions) if i.fills("layer_loss")]


def refuse_other_networks(trainer: Trainer) -> None:
    """Raises ConfigError for a network whose layers a method needs and that is not a chain."""
    for _, method in methods(trainer):
        module = trainer.engine.module
        params = {n: p.detach().unsqueeze(0) for n, p in module.named_parameters()}
        if chain_of(module, params, module, len(trainer.problem.shape)) is None:
            raise ConfigError(
                f"{type(method).__name__} reads the layers of a chain of linear layers, tanh and "
                f"ReLU, and the model is a {type(module).__name__} of other layers; choose "
                "model=mlp or model=logistic."
            )


def added(trainer: Trainer, params: Params, batch: Batch, memory: Memory, total: Params) -> Params:
    """The summed gradients with those of the hooks; `total` itself if no method fills it."""
    if not methods(trainer):
        return total
    leaves = {n: p.detach().requires_grad_(n in total) for n, p in params.items()}
    value = (losses(trainer, leaves, batch, memory) * batch.weight).sum()
    trained = [leaves[n] for n in total]
    found = torch.autograd.grad(value, trained, allow_unused=True, materialize_grads=True)
    return {n: t + g for (n, t), g in zip(total.items(), found, strict=True)}


def losses(trainer: Trainer, params: Params, batch: Batch, memory: Memory) -> Tensor:
    """The unweighted sum [R, B] of the hooks' losses, differentiable in `params`."""
    axes = len(trainer.problem.shape)
    chain = chain_of(trainer.engine.module, params, forward(trainer, params), axes)
    assert chain is not None, "`refuse_other_networks` comes first"
    loss = torch.zeros_like(batch.weight)
    for k, method in methods(trainer):
        own = method.layer_loss(chain, replace(batch, memory=memory[k]), trainer.problem)
        loss = loss if own is None else loss + own
    return loss
