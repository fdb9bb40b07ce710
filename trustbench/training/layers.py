"""The layers of trained replicates: as a chain where they are one, and their last features."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from trustbench.contracts import Activation, Affine, Chain, Forward
from trustbench.training import hidden
from trustbench.training.engine_choice import is_linear_chain
from trustbench.training.module_copies import shared_copy

ROWS = 4096


def chain_of(
    module: nn.Module, params: Mapping[str, Tensor], forward: Forward, axes: int
) -> Chain | None:
    """The layers of replicates {name: [R, *p]} of a module; None if it is not a linear chain."""
    if not is_linear_chain(module):
        return None
    layers: list[Affine | Activation] = []
    for name, layer in module.named_children():
        if isinstance(layer, nn.Linear):
            layers.append(Affine(params[f"{name}.weight"], params.get(f"{name}.bias")))
        elif isinstance(layer, nn.Tanh | nn.ReLU):
            layers.append("tanh" if isinstance(layer, nn.Tanh) else "relu")
    if not isinstance(layers[-1], Affine):
        return None
    return Chain(tuple(layers), forward, axes)


def features(module: nn.Module, params: Mapping[str, Tensor], X: Tensor) -> Tensor:
    """The last hidden activations [R, n, h] of replicates on rows X [n, *shape].

    A network without hidden activations has its inputs there.
    """
    sites = list(hidden.sites(module, tuple(X.shape[1:])))
    count = len(next(iter(params.values())))
    if not sites:
        return X.flatten(1).expand(count, -1, -1)
    copied, seen = shared_copy(module).eval(), list[Tensor]()
    copied.get_submodule(sites[-1]).register_forward_hook(
        lambda _module, _inputs, out: seen.append(out.flatten(1))
    )
    buffers = {name: b.to(X.device) for name, b in copied.named_buffers()}
    with torch.no_grad():
        for r in range(count):
            own = {**buffers, **{name: p[r] for name, p in params.items()}}
            for rows in X.split(ROWS):
                functional_call(copied, own, (rows,))
    found: Tensor = torch.cat(seen).unflatten(0, (count, -1))
    return found
