"""Dropout layers of a model: a training pass receives their masks as factors.

A dropout layer draws from the global generator, in an order that depends on the engine. In training
it is replaced by a layer that multiplies by a mask from the replicate's own stream, one for each
use of the layer, each example and each view. All engines and resumed runs therefore see the same
bits, and the gradient of an example depends only on its own row and its own mask.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trustbench.errors import ConfigError
from trustbench.training import hidden
from trustbench.training.module_copies import shared_copy

# For each class, the fewest axes of one example at which it drops whole channels (the first axis);
# None: it drops single units. With fewer axes torch drops whole examples.
LAYERS: Mapping[type[nn.Module], int | None] = {
    nn.Dropout: None,
    nn.Dropout1d: 2,
    nn.Dropout2d: 1,
    nn.Dropout3d: 4,
}


@dataclass(frozen=True)
class DropoutPlace:
    """One use of a dropout layer in a pass: its rate and the shape of one example's mask."""

    rate: float
    unit: tuple[int, ...]

    def mask(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """A mask: 0 with probability `rate`, else 1 / (1 - rate)."""
        kept = torch.rand(shape, generator=generator) >= self.rate
        return kept.float().div_(1 - self.rate if self.rate < 1 else 1.0)


Places = Mapping[str, DropoutPlace]  # {use of a layer: its masks}, in the order of the pass


class Masked(nn.ModuleList):
    """Replaces a dropout layer: its k-th use in a pass multiplies by the k-th factor."""

    turn = 0

    def forward(self, x: Tensor) -> Tensor:
        """[n, *unit] -> [n, *unit]."""
        self.turn += 1
        out: Tensor = self[self.turn - 1](x)
        return out


class _Noted(nn.Module):
    """Replaces a dropout layer: passes its input on and records the shape."""

    def __init__(self, name: str, seen: list[tuple[str, tuple[int, ...]]]) -> None:
        super().__init__()
        self.name, self.seen = name, seen

    def forward(self, x: Tensor) -> Tensor:
        """[...] -> [...]."""
        self.seen.append((self.name, tuple(x.shape)))
        return x


def layers(module: nn.Module) -> dict[str, nn.Module]:
    """The dropout layers of a module by name; a layer registered twice is listed once."""
    return {n: m for n, m in module.named_modules() if type(m) in LAYERS}


def places(module: nn.Module, shape: tuple[int, ...]) -> Places:
    """Where the dropout layers of a module for inputs [n, *shape] act in a training pass.

    Raises:
        ConfigError: a layer acts on a tensor whose first axis is not the batch.
    """
    found = layers(module)
    if not found:
        return {}
    two, three = (_uses(module, shape, n) for n in (2, 3))
    made: dict[str, DropoutPlace] = {}
    counts = dict.fromkeys(found, 0)
    for (name, small), (_, large) in zip(two, three, strict=True):
        if (small[:1], large[:1]) != ((2,), (3,)) or small[1:] != large[1:]:
            raise ConfigError(
                f"model: dropout layer {name!r} is given a tensor of shape {large} for a batch of "
                "3 examples, so an example has no mask of its own; apply it where the first axis "
                "is the batch."
            )
        if _rate(found[name]):
            place = DropoutPlace(_rate(found[name]), _unit(found[name], small[1:]))
            made[f"{name}.{counts[name]}"] = place
        counts[name] += 1
    return made


def masked(module: nn.Module, uses: Places) -> nn.Module:
    """Returns a copy that takes masks in training; its parameters keep their names."""

    def place(name: str) -> nn.Module:
        own = sum(use.rpartition(".")[0] == name for use in uses)
        return Masked(hidden.Scaled(nn.Identity()) for _ in range(own)) if own else nn.Identity()

    copied = _replaced(module, place)
    copied.register_forward_pre_hook(_begin)
    return copied


def drawn(
    uses: Places,
    real: Tensor,
    views: int,
    generators: Sequence[torch.Generator],
    device: torch.device = hidden.CPU,
) -> dict[str, Tensor]:
    """Masks {use: [R, B, views, *unit]} of a padded batch, as in `hidden.drawn`."""
    found: dict[str, Tensor] = {}
    for name, place in uses.items():
        found |= hidden.drawn(place.mask, {name: place.unit}, real, views, generators, device)
    return found


def _begin(module: nn.Module, _inputs: object) -> None:
    """Starts a pass: the next use of each layer is its first."""
    for inner in _all_masked(module):
        inner.turn = 0


def _all_masked(module: nn.Module) -> Iterator[Masked]:
    return (m for m in module.modules() if isinstance(m, Masked))


def _uses(module: nn.Module, shape: tuple[int, ...], n: int) -> list[tuple[str, tuple[int, ...]]]:
    """The layers in the order in which a pass over n rows uses them, with the shapes they see."""
    seen: list[tuple[str, tuple[int, ...]]] = []
    noted = _replaced(module, lambda name: _Noted(name, seen))
    like = next(module.parameters())
    with torch.no_grad():
        noted.train()(like.new_zeros(n, *shape))
    return seen


def _replaced(module: nn.Module, made: Callable[[str], nn.Module]) -> nn.Module:
    """A copy with `made(name)` in place of each dropout layer, wherever it is registered."""
    copied = shared_copy(module)
    instead = {id(layer): made(name) for name, layer in layers(copied).items()}
    for parent in list(copied.modules()):
        for key, child in list(parent._modules.items()):  # named_children leaves out repetitions
            if id(child) in instead:
                parent._modules[key] = instead[id(child)]
    return copied


def _unit(layer: nn.Module, unit: tuple[int, ...]) -> tuple[int, ...]:
    axes = LAYERS[type(layer)]
    if axes is None:
        return unit
    channels = unit[0] if len(unit) >= axes else 1
    return (channels, *[1] * (len(unit) - 1))


def _rate(layer: nn.Module) -> float:
    rate = layer.p
    assert isinstance(rate, float | int)
    return float(rate)
