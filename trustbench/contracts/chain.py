"""The layers of a network as data, where it is a chain: for bounds and white-box attacks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Activation = Literal["relu", "tanh"]


@dataclass(frozen=True)
class Affine:
    """h -> W h + b, of every replicate."""

    weight: "Tensor"  # [R, out, in]
    bias: "Tensor | None" = None  # [R, out]

    def __call__(self, h: "Tensor") -> "Tensor":
        """[R, n, in] -> [R, n, out]."""
        out = h @ self.weight.mT
        return out if self.bias is None else out + self.bias.unsqueeze(1)


@dataclass(frozen=True)
class Chain:
    """R networks that flatten their input and apply `layers` in order; the last one is affine.

    `of` is the forward function that the layers compute. A method that replaces the outputs of a
    system replaces its `forward`, and `System.chain` is then None.
    """

    layers: tuple[Affine | Activation, ...]
    of: "Callable[[Tensor], Tensor]"
    axes: int = 1  # of one input, which are flattened

    def __call__(self, X: "Tensor") -> "Tensor":
        """Logits [R, n, C] of X [n, *shape] or [R, n, *shape]."""
        return self._applied(X, self.layers)

    def hidden(self, X: "Tensor") -> "Tensor":
        """The inputs [R, n, h] of the last affine layer: the penultimate features."""
        last = max(k for k, layer in enumerate(self.layers) if isinstance(layer, Affine))
        return self._applied(X, self.layers[:last])

    def _applied(self, X: "Tensor", layers: "tuple[Affine | Activation, ...]") -> "Tensor":
        first = next(layer for layer in self.layers if isinstance(layer, Affine))
        h = X.flatten(-self.axes).to(first.weight)
        if h.ndim == 2:
            h = h.expand(len(first.weight), *h.shape)
        for layer in layers:
            h = layer(h) if isinstance(layer, Affine) else getattr(h, layer)()
        return h
