"""Checks a model before training: float32 parameters, and one finite logit per class."""

import torch
from torch import Tensor, nn

from trustbench.contracts import Problem
from trustbench.errors import ConfigError

ROWS = 2


def refuse_wrong_outputs(name: str, module: nn.Module, problem: Problem) -> None:
    """Raises ConfigError unless an untrained module returns one finite logit per row and class."""
    _refuse_wrong_parameters(name, module)
    rows, training = problem.splits["train"][:ROWS], module.training
    with torch.no_grad():
        found = module.eval()(torch.as_tensor(problem.X[rows]))
    module.train(training)
    if not isinstance(found, Tensor):
        raise ConfigError(
            f"model {name}: its forward returns a {type(found).__name__}; return one tensor of "
            "logits [n, classes]."
        )
    shape, wanted = tuple(found.shape), (len(rows), len(problem.classes))
    if shape != wanted:
        raise ConfigError(
            f"model {name}: its output has shape {shape} for {len(rows)} rows of the "
            f"{wanted[1]} classes of {problem.name}; let its last layer have "
            "len(problem.classes) outputs."
        )
    if not found.isfinite().all():
        raise ConfigError(
            f"model {name}: its output is not finite on rows of {problem.name} before any "
            "training; look at its initial parameters and divisions."
        )


def _refuse_wrong_parameters(name: str, module: nn.Module) -> None:
    found = dict(module.named_parameters())
    if not found:
        raise ConfigError(f"model {name}: it has no parameters, so there is nothing to train.")
    if not any(p.requires_grad for p in found.values()):
        raise ConfigError(
            f"model {name}: all its parameters are frozen (requires_grad=False), so there is "
            "nothing to train; leave one of them free."
        )
    for parameter, value in found.items():
        if value.dtype != torch.float32:
            raise ConfigError(
                f"model {name}: its parameter {parameter} is {value.dtype}, and inputs are "
                "torch.float32; build the model in single precision (module.float())."
            )
