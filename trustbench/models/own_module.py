"""What a user's own module needs before it is used: its arguments, shapes and layers."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from trustbench.training.output_checks import outputs


def offered(shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """What a constructor may ask of a data set, by the names of its parameters."""
    d = int(torch.Size(shape).numel())
    names: dict[str, Any] = dict.fromkeys(("n_features", "num_features", "in_features"), d)
    names |= {"input_dim": d, "shape": shape, "input_shape": shape}
    names |= dict.fromkeys(("n_classes", "num_classes", "out_features", "output_dim"), classes)
    return names | ({"in_channels": shape[0]} if len(shape) == 3 else {})


def prepare(name: str, module: nn.Module, rows: Tensor) -> None:
    """Gives lazy layers their shapes, and lets no layer work in place.

    A layer such as nn.ReLU(inplace=True) computes the same out of place, and keeps its inputs.
    """
    if any(isinstance(p, UninitializedParameter) for p in module.parameters()):
        with torch.no_grad():
            outputs(name, module.eval(), rows)
    for layer in module.modules():
        if getattr(layer, "inplace", False) is True:
            layer.inplace = False  # type: ignore[assignment]
