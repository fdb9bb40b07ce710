"""Adapts modules with one output for two classes: z becomes the two logits (0, z)."""

from typing import Any

import torch
from torch import Tensor, nn

from trustbench.errors import ConfigError
from trustbench.training.output_checks import last_operation, outputs

# The probability of a sigmoid is undone up to here; beyond, float32 no longer tells it from 1.
EPS = float(torch.finfo(torch.float32).eps)


class _TwoLogits:
    """A forward hook, so that the parameters of the module keep their names."""

    def __init__(self, said: str, probability: bool) -> None:
        self.said, self.probability = said, probability

    def __call__(self, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        """[n] or [n, 1] -> [n, 2]."""
        z = output.reshape(-1)
        z = torch.logit(z, eps=EPS) if self.probability else z
        return torch.stack([torch.zeros_like(z), z], dim=1)


def adapt(name: str, module: nn.Module, rows: Tensor, classes: tuple[str, ...]) -> None:
    """Makes a module with one output for two classes return two logits; leaves others alone.

    The softmax of (0, z) is the sigmoid of z, so loss, gradients and decisions are those of a
    binary cross-entropy on z.
    """
    was = module.training
    found = outputs(name, module.eval(), rows)
    module.train(was)
    if not isinstance(found, Tensor) or tuple(found.shape) not in {(len(rows),), (len(rows), 1)}:
        return
    if len(classes) != 2:
        raise ConfigError(
            f"model {name}: it has one output, but the data have {len(classes)} classes; let its "
            f"last layer have {len(classes)} outputs."
        )
    probability = last_operation(found) == "Sigmoid"
    what = "one probability p, whose logit z is" if probability else "one logit z,"
    said = f"{type(module).__name__} returns {what} used as the logits (0, z) of the classes "
    said += " and ".join(classes)
    if probability:
        said += "; z is clipped to +-15.9, which a module that returns z itself avoids"
    module.register_forward_hook(_TwoLogits(said, probability))


def said(module: nn.Module) -> str | None:
    """How `adapt` changed a module, or None if it did not."""
    hooks = [h for h in module._forward_hooks.values() if isinstance(h, _TwoLogits)]
    return hooks[0].said if hooks else None
