"""Trained replicates on disk: checkpoints during training, safetensors at the end.

No pickle is written or read. `fit.json` is written last, so a folder without it is unfinished. A
damaged file is recognised by its checksum and treated as absent: its content is computed again.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from trustbench import errors
from trustbench.contracts import Array, Fact
from trustbench.store.files import write_atomically
from trustbench.training.engines import Params
from trustbench.training.state import TrainingState

Warn = Callable[[str], object]
_CHECKPOINT = "checkpoint.safetensors"


class _Damaged(Exception):
    """A file does not match its checksum."""


@dataclass(frozen=True)
class Fit:
    """R trained replicates and the history of their training."""

    params: Params  # {name: [R, *p]}, the deployed states
    accuracy: Array  # float [R], validation accuracy of the deployed states
    facts: dict[str, Fact]
    curves: dict[str, Array]  # per epoch and replicate: validation loss and accuracy, [E, R]

    def only(self, replicate: int) -> "Fit":
        """The fit of one replicate."""
        one = slice(replicate, replicate + 1)
        return Fit(
            {name: p[one] for name, p in self.params.items()},
            self.accuracy[one],
            self.facts,
            {name: c[:, one] for name, c in self.curves.items()},
        )


def write_fit(folder: Path, fit: Fit, state: TrainingState) -> None:
    """Writes a finished fit, then removes its checkpoint.

    Raises:
        StorageError: it cannot be written; the checkpoint is kept.
    """
    files = {"params.safetensors": save(_cpu(fit.params))}
    if state.snapshots:
        stacked = {n: torch.stack([s[n] for s in state.snapshots]) for n in state.snapshots[0]}
        files["snapshots.safetensors"] = save(stacked)
    for name, data in files.items():
        write_atomically(folder / name, data)
    content = {
        "accuracy": fit.accuracy.tolist(),
        "facts": fit.facts,
        "curves": {k: v.tolist() for k, v in fit.curves.items()},
        "snapshot_accuracy": [a.tolist() for a in state.snapshot_accuracy],
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    content["content_sha256"] = _of_json(content)
    write_atomically(folder / "fit.json", json.dumps(content, allow_nan=False).encode())
    (folder / _CHECKPOINT).unlink(missing_ok=True)


def read_fit(folder: Path, device: torch.device, warn: Warn = errors.warn) -> Fit | None:
    """Reads the finished fit of a folder; returns None if it is absent or damaged."""
    if not (folder / "fit.json").exists():
        return None
    try:
        content = _content(folder)
        params = _read(folder, "params.safetensors", content, device)
    except _Damaged as damage:
        warn(f"the trained replicates in {folder} are damaged ({damage}) and are trained again.")
        return None
    return Fit(
        params=params,
        accuracy=np.asarray(content["accuracy"]),
        facts=content["facts"],
        curves={k: np.asarray(v) for k, v in content["curves"].items()},
    )


def read_snapshots(
    folder: Path, device: torch.device, warn: Warn = errors.warn
) -> tuple[Params, Array] | None:
    """Reads a baseline's kept states {name: [S, R, *p]} and their validation accuracy [S, R].

    Returns None if they are damaged.
    """
    try:
        content = _content(folder)
        states = _read(folder, "snapshots.safetensors", content, device)
    except _Damaged as damage:
        warn(f"the snapshots in {folder} are damaged ({damage}) and are trained again.")
        return None
    return states, np.asarray(content["snapshot_accuracy"])


def discard(folder: Path) -> None:
    """Marks the fit of a folder as unfinished, so that it is trained again."""
    (folder / "fit.json").unlink(missing_ok=True)


def write_checkpoint(folder: Path, state: TrainingState) -> None:
    """Writes a training state to one file. If killed meanwhile, the previous file stays readable.

    Raises:
        StorageError: it cannot be written.
    """
    tensors = {
        **_prefixed("params", state.params),
        **_prefixed("velocity", state.velocity),
        **_prefixed("best", state.best),
        **_prefixed("rule", state.rule_state),
    }
    for k, memory in enumerate(state.memory):
        tensors.update(_prefixed(f"memory{k}", memory))
    for k, snapshot in enumerate(state.snapshots):
        tensors.update(_prefixed(f"snapshot{k}", snapshot))
    tensors, numbers = _cpu(tensors), json.dumps(_numbers(state))
    metadata = {"state": numbers, "sha256": _of_state(tensors, numbers)}
    write_atomically(folder / _CHECKPOINT, save(tensors, metadata))


def read_checkpoint(
    folder: Path, device: torch.device, warn: Warn = errors.warn
) -> TrainingState | None:
    """Reads the training state of a folder's checkpoint; None if it is absent or damaged."""
    path = folder / _CHECKPOINT
    if not path.exists():
        return None
    try:
        tensors, content = _checkpoint(path)
    except _Damaged as damage:
        warn(f"{path} is damaged ({damage}); training starts from the beginning.")
        return None
    groups: dict[str, Params] = {}
    for name, tensor in tensors.items():
        prefix, rest = name.split("/", 1)
        groups.setdefault(prefix, {})[rest] = tensor.to(device)
    kept = len(content["snapshot_accuracy"])
    return TrainingState(
        params=groups["params"],
        velocity=groups["velocity"],
        best=groups["best"],
        **{f.name: _restored(f, content[f.name]) for f in NUMBERS},
        snapshots=[{n: t.cpu() for n, t in groups[f"snapshot{k}"].items()} for k in range(kept)],
        rule_state=groups.get("rule", {}),
        memory=[groups.get(f"memory{k}", {}) for k in range(content["interventions"])],
    )


# The fields that hold no tensors, which a checkpoint keeps as JSON.
TENSORS = ("params", "velocity", "best", "rule_state", "snapshots", "memory")
NUMBERS = [f for f in fields(TrainingState) if f.name not in TENSORS]


def _numbers(state: TrainingState) -> dict[str, Any]:
    kept = {f.name: _listed(getattr(state, f.name)) for f in NUMBERS}
    return {**kept, "interventions": len(state.memory)}


def _listed(value: Any) -> Any:
    """A number, an array or a list of arrays, as JSON has it."""
    if isinstance(value, list):
        return [v.tolist() for v in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def _restored(field: Field[Any], value: Any) -> Any:
    """What `_listed` made of a field's value, as it was."""
    if field.default_factory is list:
        return [np.asarray(v) for v in value]
    return np.asarray(value) if isinstance(value, list) else value


def _prefixed(prefix: str, params: Params) -> Params:
    return {f"{prefix}/{n}": t for n, t in params.items()}


def _cpu(params: Params) -> Params:
    return {n: t.detach().cpu().contiguous() for n, t in params.items()}


def _content(folder: Path) -> dict[str, Any]:
    """The content of fit.json."""
    try:
        content: dict[str, Any] = json.loads((folder / "fit.json").read_bytes())
        wanted = content.pop("content_sha256")
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise _Damaged("fit.json cannot be read") from error
    if wanted != _of_json(content):
        raise _Damaged("fit.json has another checksum")
    return content


def _read(folder: Path, name: str, content: Mapping[str, Any], device: torch.device) -> Params:
    try:
        data = (folder / name).read_bytes()
        if content["sha256"].get(name) != hashlib.sha256(data).hexdigest():
            raise _Damaged(f"{name} has another checksum")
        return {n: t.to(device) for n, t in load(data).items()}
    except FileNotFoundError as error:
        raise _Damaged(f"{name} is missing") from error
    except SafetensorError as error:
        raise _Damaged(f"{name} cannot be read") from error


def _checkpoint(path: Path) -> tuple[Params, dict[str, Any]]:
    """The tensors and the numbers of a checkpoint."""
    data = path.read_bytes()
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = header["__metadata__"]
        numbers, wanted = metadata["state"], metadata["sha256"]
    except (SafetensorError, ValueError, KeyError) as error:
        raise _Damaged("it cannot be read") from error
    if wanted != _of_state(tensors, numbers):
        raise _Damaged("it has another checksum")
    content: dict[str, Any] = json.loads(numbers)
    return tensors, content


def _of_json(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _of_state(tensors: Params, numbers: str) -> str:
    digest = hashlib.sha256(numbers.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
