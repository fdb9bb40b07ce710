"""Heads that return something other than one logit for each class, adapted without a new layer."""

from typing import Any

import torch
from torch import Tensor, nn

from trustbench.errors import ConfigError
from trustbench.training.output_checks import last_operation, outputs

# The probability of a sigmoid is undone up to here; beyond, float32 no longer tells it from 1.
EPS = float(torch.finfo(torch.float32).eps)
TINY = float(torch.finfo(torch.float32).tiny)


class _Head:
    """A forward hook, so that the parameters of the module keep their names."""

    note: str


class _TwoLogits(_Head):
    def __init__(self, note: str, probability: bool) -> None:
        self.note, self.probability = note, probability

    def __call__(self, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        """[n] or [n, 1] -> [n, 2]."""
        z = output.reshape(-1)
        z = torch.logit(z, eps=EPS) if self.probability else z
        return torch.stack([torch.zeros_like(z), z], dim=1)


class _Logarithms(_Head):
    note = "returns probabilities, whose logarithms are used as logits"

    def __call__(self, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        """Probabilities [n, C] -> [n, C]."""
        return output.clamp(min=TINY).log()


def adapt_one_logit(name: str, module: nn.Module, rows: Tensor, classes: tuple[str, ...]) -> None:
    """Makes a module with one output z for two classes return (0, z); leaves others alone.

    The softmax of (0, z) is the sigmoid of z, so loss, gradients and decisions are those of a
    binary cross-entropy on z.
    """
    found = _outputs(name, module, rows)
    if not isinstance(found, Tensor) or tuple(found.shape) not in {(len(rows),), (len(rows), 1)}:
        return
    if len(classes) != 2:
        raise ConfigError(
            f"model {name}: it has one output, but the data have {len(classes)} classes; let its "
            f"last layer have {len(classes)} outputs."
        )
    probability = last_operation(found) == "Sigmoid"
    what = "one probability p, whose logit z is" if probability else "one logit z,"
    note = f"{type(module).__name__} returns {what} used as the logits (0, z) of the classes "
    note += " and ".join(classes)
    if probability:
        note += "; z is clipped to +-15.9, which a module that returns z itself avoids"
    module.register_forward_hook(_TwoLogits(note, probability))


def adapt_softmax(name: str, module: nn.Module, rows: Tensor) -> None:
    """Makes a trained module that ends in a softmax return logits again; leaves others alone."""
    found = _outputs(name, module, rows)
    if isinstance(found, Tensor) and last_operation(found) == "Softmax":
        module.register_forward_hook(_Logarithms())


def adapted(module: nn.Module) -> str | None:
    """How a head of a module was adapted, or None if it was not."""
    hooks: list[object] = list(module._forward_hooks.values())
    return next((h.note for h in hooks if isinstance(h, _Head)), None)


def _outputs(name: str, module: nn.Module, rows: Tensor) -> object:
    """Outputs in evaluation mode, with the operations that made them."""
    was = module.training
    found = outputs(name, module.eval(), rows.detach().requires_grad_())
    module.train(was)
    return found
