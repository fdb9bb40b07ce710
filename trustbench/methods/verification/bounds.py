"""Sound lower bounds of every margin of a chain of layers within a box of inputs."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from trustbench.contracts import Activation, Affine, Chain
from trustbench.methods.verification.relaxations import lines

Method = Literal["interval", "linear"]
NUMBERS = 2**24  # of coefficients in one batch of rows


class UnitBounds(NamedTuple):
    """Lowest and highest values [R, n, k] of a layer's units."""

    low: Tensor
    high: Tensor


class LinearFunctions(NamedTuple):
    """m linear functions of a layer's units for each row: weight [R, n, m, k], bias [R, n, m]."""

    weight: Tensor
    bias: Tensor


def margins(chain: Chain, low: Tensor, high: Tensor, y: Tensor, method: Method) -> Tensor:
    """Lower bounds [R, n, C] of logit y minus logit j over all inputs in a box; 0 at j = y.

    `interval` propagates the box forwards (IBP). `linear` propagates lines backwards (CROWN, with
    intermediate bounds of the same kind, each intersected with the interval's), so it is never
    looser than `interval`. In both the last layer is merged with the differences of its rows.
    Without hidden layers both are exact. All sums are in float64: bounds hold up to its rounding.
    Differentiable in the layers.

    Args:
        chain: the replicates' layers.
        low: lowest inputs [R, n, *shape].
        high: highest inputs [R, n, *shape].
        y: labels int64 [n] or [R, n].
        method: how bounds are propagated.

    Reference: Gowal et al. 2018, arXiv 1810.12715, sections 3.1 and 3.2 (interval, merged last
    layer); Zhang et al. 2018, arXiv 1811.00866, theorem 3.2 (linear).
    """
    layers = [_double(layer) for layer in chain.layers]
    low, high = (v.flatten(-chain.axes).double() for v in (low, high))
    last = layers[-1]
    if not isinstance(last, Affine):
        raise TypeError("the last layer of a chain is affine")
    widest = max(layer.weight.shape[1] for layer in layers if isinstance(layer, Affine))
    size = len(low) * widest * max(widest, low.shape[-1])
    rows = max(1, NUMBERS // size) if method == "linear" else y.shape[-1]
    parts = [
        _margins(layers[:-1], last, UnitBounds(a, b), t, method)
        for a, b, t in zip(
            low.split(rows, dim=1), high.split(rows, dim=1), y.split(rows, dim=-1), strict=True
        )
    ]
    return torch.cat(parts, dim=1)


def _margins(
    hidden: list[Affine | Activation], last: Affine, box: UnitBounds, y: Tensor, method: Method
) -> Tensor:
    differences = _differences(last, y)
    boxes = list(_boxes(hidden, box, method))
    found = _least(differences, boxes[-1])
    if method == "linear":
        found = torch.maximum(found, _backward(differences, hidden, boxes))
    index = y.expand(len(found), -1).unsqueeze(-1)
    return found.scatter(-1, index, 0.0)


def _boxes(
    hidden: list[Affine | Activation], box: UnitBounds, method: Method
) -> Iterator[UnitBounds]:
    """The box of the inputs, and that after each hidden layer."""
    known = [box]
    yield box
    for k, layer in enumerate(hidden):
        if isinstance(layer, Affine):
            box = _through(layer, box)
            if method == "linear" and k > 0:
                every = _rows_of(layer, box.low.shape[1])
                below = _backward(every, hidden[:k], known)
                above = -_backward(_negative(every), hidden[:k], known)
                box = UnitBounds(torch.maximum(box.low, below), torch.minimum(box.high, above))
        else:
            box = UnitBounds(*(getattr(v, layer)() for v in box))
        known.append(box)
        yield box


def _through(layer: Affine, box: UnitBounds) -> UnitBounds:
    """The lowest and highest outputs of an affine layer on a box."""
    centre, reach = layer((box.high + box.low) / 2), (box.high - box.low) / 2
    reach = reach @ layer.weight.abs().mT
    return UnitBounds(centre - reach, centre + reach)


def _least(functions: LinearFunctions, box: UnitBounds) -> Tensor:
    """The lowest value [R, n, m] of linear functions of units in a box."""
    centre, reach = (box.high + box.low) / 2, (box.high - box.low) / 2
    weight = functions.weight
    value = (weight @ centre.unsqueeze(-1)) - (weight.abs() @ reach.unsqueeze(-1))
    return value.squeeze(-1) + functions.bias


def _backward(
    functions: LinearFunctions, layers: list[Affine | Activation], boxes: list[UnitBounds]
) -> Tensor:
    """Lower bounds [R, n, m] of functions of the last of `layers`, as functions of the inputs.

    `boxes[k]` is that of the input of layer k.
    """
    weight, bias = functions
    for layer, box in zip(reversed(layers), reversed(boxes[: len(layers)]), strict=True):
        if isinstance(layer, Affine):
            if layer.bias is not None:
                bias = bias + (weight @ layer.bias[:, None, :, None]).squeeze(-1)
            weight = weight @ layer.weight.unsqueeze(1)
        else:
            line = lines(layer, *box)
            up, down = weight.clamp(min=0), weight.clamp(max=0)
            shift = up @ line.lower_offset.unsqueeze(-1) + down @ line.upper_offset.unsqueeze(-1)
            bias = bias + shift.squeeze(-1)
            weight = up * line.lower_slope.unsqueeze(2) + down * line.upper_slope.unsqueeze(2)
    return _least(LinearFunctions(weight, bias), boxes[0])


def _differences(last: Affine, y: Tensor) -> LinearFunctions:
    """Logit y minus each logit, as functions of the last hidden units."""
    true = y.expand(len(last.weight), -1)
    own = last.weight.gather(1, true.unsqueeze(-1).expand(-1, -1, last.weight.shape[-1]))
    weight = own.unsqueeze(2) - last.weight.unsqueeze(1)
    if last.bias is None:
        return LinearFunctions(weight, weight.new_zeros(weight.shape[:3]))
    return LinearFunctions(weight, last.bias.gather(1, true).unsqueeze(2) - last.bias.unsqueeze(1))


def _rows_of(layer: Affine, n: int) -> LinearFunctions:
    """The units of a layer as functions of its inputs, the same for all n rows."""
    R, out, _ = layer.weight.shape
    bias = layer.weight.new_zeros(R, out) if layer.bias is None else layer.bias
    return LinearFunctions(layer.weight.unsqueeze(1), bias.unsqueeze(1).expand(R, n, out))


def _negative(functions: LinearFunctions) -> LinearFunctions:
    return LinearFunctions(-functions.weight, -functions.bias)


def _double(layer: Affine | Activation) -> Affine | Activation:
    if not isinstance(layer, Affine):
        return layer
    return Affine(layer.weight.double(), None if layer.bias is None else layer.bias.double())


def proven_radius(
    proven: Callable[[Tensor], Tensor], largest: float, like: Tensor, halvings: int
) -> Tensor:
    """The largest radius [R, n] found at which each row is proven, by bisection; 0 if none.

    `proven` maps radii [R, n] to whether each row is proven within its own. A proof at a radius is
    one at all smaller ones, so every radius returned, except 0, is itself proven.
    """
    below = torch.zeros_like(like)
    above = torch.full_like(like, largest)
    whole = proven(above)
    for _ in range(halvings):
        middle = (below + above) / 2
        yes = proven(middle)
        below, above = torch.where(yes, middle, below), torch.where(yes, above, middle)
    return torch.where(whole, torch.full_like(like, largest), below)
