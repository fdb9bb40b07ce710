"""Factors on hidden activations (dropout masks, say): where they act and how they get there.

Factors are inputs of a pass, like X: {site: [R, n, *unit]}, where a site is the name of a hidden
activation module. An engine draws nothing inside a pass. The stream of a replicate therefore
determines its masks, whichever engine runs and however rows are chunked (under vmap, a layer that
draws would need the global generator). Attacks and resumed training meet the right masks, and the
gradient of an example depends only on its own row and its own mask. A missing factor means a factor
of 1.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from trustbench.errors import Unsupported
from trustbench.methods.random_numbers import moved
from trustbench.training.module_copies import shared_copy

Sites = Mapping[str, tuple[int, ...]]  # {activation module: the shape of one example's units}
Factors = Mapping[str, Tensor]
# A shape [n, *unit] and a replicate's generator -> factors of that shape, on the CPU.
Draw = Callable[[tuple[int, ...], torch.Generator], Tensor]

CPU = torch.device("cpu")
ACTIVATIONS = (
    nn.Tanh, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Sigmoid, nn.Softplus,
)  # fmt: skip


class Scaled(nn.Module):
    """An activation whose outputs are multiplied by the buffer `factor`."""

    factor: Tensor

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation
        self.register_buffer("factor", torch.ones(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[n, *unit] -> [n, *unit]."""
        out: Tensor = self.activation(x) * self.factor
        return out


def sites(module: nn.Module, shape: tuple[int, ...]) -> Sites:
    """The hidden activations of a module for inputs [n, *shape], in the order of computation.

    An activation that returns the module's output is not hidden.

    Raises:
        Unsupported: an activation module is used in several places, so its name is ambiguous.
    """
    seen: list[tuple[str, Tensor]] = []

    def remember(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _inputs, out: seen.append((name, out))

    hooks = [
        m.register_forward_hook(remember(name))
        for name, m in module.named_modules()
        if isinstance(m, ACTIVATIONS)
    ]
    like = next(module.parameters())
    with torch.no_grad():
        last = module(like.new_zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    found = {name: tuple(out.shape[1:]) for name, out in seen if out is not last}
    names = [name for name, _ in seen]
    for name in found:
        if names.count(name) > 1:
            raise Unsupported(
                f"the model uses its activation module {name!r} {names.count(name)} times in a "
                f"pass, so its masks would be ambiguous; give each use its own module"
            )
    return found


def scaled(module: nn.Module, names: Iterable[str]) -> nn.Module:
    """Returns a copy that multiplies these activations by their factors; parameter names stay."""
    copied = shared_copy(module)
    for name in names:
        copied.set_submodule(name, Scaled(copied.get_submodule(name)))
    return copied


def set_factors(module: nn.Module, factors: Factors) -> None:
    """Sets the factor of every site, or 1 where none is given."""
    for name, place in module.named_modules():
        if isinstance(place, Scaled):
            place.factor = factors.get(name, torch.ones(()))


def buffers(factors: Factors) -> dict[str, Tensor]:
    """The factors under the names that they have in a `scaled` module."""
    return {f"{name}.factor": f for name, f in factors.items()}


def flat(factors: Factors | None) -> dict[str, Tensor]:
    """Reshapes factors [R, B, V, *unit] of examples to [R, B V, *unit] of rows; keeps None."""
    return {name: f.flatten(1, 2) for name, f in (factors or {}).items()}


def of_replicate(factors: Factors, r: int) -> dict[str, Tensor]:
    """The factors of one replicate, without the axis R."""
    return {name: f[r] for name, f in factors.items()}


def drawn(
    draw: Draw,
    sites: Sites,
    real: Tensor,
    views: int,
    generators: Sequence[torch.Generator],
    device: torch.device = CPU,
) -> dict[str, Tensor]:
    """Draws {site: float32 [R, B, views, *unit]} for a padded batch whose real rows are `real`.

    They are drawn on the CPU, where `real` lies, and copied to the device. Padding draws nothing
    and keeps the factor 1. A replicate's numbers, in this batch and all later ones, therefore do
    not depend on the other replicates.
    """
    R, B = real.shape
    found = {name: torch.ones(R, B, views, *unit) for name, unit in sites.items()}
    for r, generator in zip(range(R), generators, strict=True):
        count = int(real[r].sum())
        for name, unit in sites.items():
            numbers = draw((count * views, *unit), generator)
            found[name][r, real[r]] = numbers.view(count, views, *unit)
    return {name: moved(factor, device) for name, factor in found.items()}
