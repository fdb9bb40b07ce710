"""Refuses modules whose numbers would depend on more than their parameters and one row.

Before any training, a few rows of the training pool go through the module twice, and each row goes
through it alone. A refusal names the innermost layer at which the passes differ.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trustbench.contracts import Problem
from trustbench.contracts.seeding import Streams
from trustbench.errors import ConfigError
from trustbench.training import dropout
from trustbench.training.module_copies import shared_copy

ROWS = 4
ALONE = 2  # the number of them that get a pass of their own


class _Call(NamedTuple):
    """The inputs of a layer in a pass, and its output."""

    layer: str
    inputs: tuple[Tensor, ...]
    output: Tensor


def refuse_unsteady(module: nn.Module, problem: Problem) -> None:
    """Raises ConfigError if a module is random or mixes the examples of a batch.

    Dropout layers are random only in training, and named streams provide their masks.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            raise ConfigError(
                f"model: layer {_named(name, layer)} is a BatchNorm, which couples the examples of "
                "a batch, so neither DP-SGD nor a paired baseline can use it; replace it with "
                "GroupNorm."
            )
    like = next(module.parameters())
    rows = torch.as_tensor(problem.rows("train")[0][:ROWS]).to(like)
    evaluated = shared_copy(module).eval()
    _refuse_random(
        evaluated,
        rows,
        "draws random numbers in evaluation mode, so two measurements of one model would differ; "
        "draw only while `self.training` is true, as nn.Dropout does",
    )
    _refuse_mixing(evaluated, rows, "evaluation")
    trained = dropout.masked(module, dropout.places(module, problem.shape)).train()
    _refuse_changes(trained, rows)
    _refuse_random(
        trained,
        rows,
        "draws random numbers in training that do not come from a named stream, so two runs of "
        "one arm "
        "would differ; use nn.Dropout, nn.Dropout1d, nn.Dropout2d or nn.Dropout3d, or switch it "
        "off (dropout=0)",
    )
    _refuse_mixing(trained, rows, "training")


def _refuse_random(module: nn.Module, rows: Tensor, what: str) -> None:
    if _close(_output(module, rows, 0), _output(module, rows, 1)):
        return
    first, second = _calls(module, rows, 0), _calls(module, rows, 1)
    raise ConfigError(f"model: layer {_parting(module, zip(first, second, strict=False))} {what}.")


def _refuse_mixing(module: nn.Module, rows: Tensor, mode: str) -> None:
    together = _output(module, rows, 0)
    for k in range(min(ALONE, len(rows))):
        row = rows[k : k + 1]
        alone = _output(module, row, 0)
        if alone.shape[1:] == together.shape[1:] and _close(together[k : k + 1], alone):
            continue
        where = _parting(
            module,
            (
                (_row(call, k, len(rows)), own)
                for call, own in zip(_calls(module, rows, 0), _calls(module, row, 0), strict=False)
                if call.output.shape[:1] == (len(rows),) and own.output.shape[:1] == (1,)
            ),
        )
        raise ConfigError(
            f"model: layer {where} couples the examples of a batch in {mode} mode: a row's output "
            "depends on the rows beside it, so neither DP-SGD nor a paired baseline can use it; "
            "replace it with one that acts on each example alone (GroupNorm, say)."
        )


def _refuse_changes(module: nn.Module, rows: Tensor) -> None:
    """Raises ConfigError if training changes a buffer, since replicates share the buffers."""
    before = {name: b.clone() for name, b in module.named_buffers()}
    _output(module, rows, 0)
    for name, buffer in module.named_buffers():
        if not torch.equal(buffer, before[name]):
            buffer.copy_(before[name])
            layer, _, own = name.rpartition(".")
            raise ConfigError(
                f"model: layer {_named(layer, module.get_submodule(layer))} changes its buffer "
                f"{own!r} in training, which the replicates of an arm share; use a layer without "
                "running statistics (GroupNorm, say)."
            )


def _output(module: nn.Module, rows: Tensor, draw: int) -> Tensor:
    with torch.no_grad(), Streams(0).global_torch("dropout", draw):
        out: Tensor = module(rows)
    return out


def _calls(module: nn.Module, rows: Tensor, draw: int) -> list[_Call]:
    """The layers of a pass in the order in which they finish: inner layers before outer ones."""
    seen: list[_Call] = []

    def note(name: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def hook(_module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if isinstance(output, Tensor):
                given = tuple(x.clone() for x in inputs if isinstance(x, Tensor))
                seen.append(_Call(name, given, output.clone()))

        return hook

    hooks = [m.register_forward_hook(note(name)) for name, m in module.named_modules()]
    _output(module, rows, draw)
    for hook in hooks:
        hook.remove()
    return seen


def _row(call: _Call, k: int, n: int) -> _Call:
    """Row k of a call, for tensors that have rows."""
    given = tuple(x[k : k + 1] if x.shape[:1] == (n,) else x for x in call.inputs)
    return _Call(call.layer, given, call.output[k : k + 1])


def _parting(module: nn.Module, pairs: "Iterator[tuple[_Call, _Call]]") -> str:
    """The first layer that returns different outputs for the same inputs."""
    for a, b in pairs:
        if a.layer != b.layer:
            break
        same = len(a.inputs) == len(b.inputs) and all(map(_close, a.inputs, b.inputs))
        if same and not _close(a.output, b.output):
            return _named(a.layer, module.get_submodule(a.layer))
    return _named("", module)


def _named(name: str, layer: nn.Module) -> str:
    return f"{name!r} ({type(layer).__name__})" if name else f"{type(layer).__name__} (the model)"


def _close(a: Tensor, b: Tensor) -> bool:
    """Equal up to the rounding of a different order of summation."""
    if a.shape != b.shape:
        return False
    size = float(a.abs().max()) if a.numel() else 0.0
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5 * max(size, 1e-30), equal_nan=True)
