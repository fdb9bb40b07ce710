"""Trained replicates on disk: checkpoints during training, safetensors at the end.

No pickle is written or read. `fit.json` is written last, so a folder without it is unfinished. It
and the checkpoint name their fit, which is the name of their folder. What has another checksum or
name is kept under another name and treated as absent: its content is computed again. Only the
process that holds the folder's lock may read here.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from trustbench import errors
from trustbench.contracts import Array, Fact
from trustbench.store.files import set_aside, write_own
from trustbench.store.reading import ARRAYS, Damaged, opened, parse, read_bytes, read_sealed, sealed
from trustbench.training.engines import Params
from trustbench.training.state import TrainingState

Warn = Callable[[str], object]
_PARAMS, _SNAPSHOTS = (f"{what}.safetensors" for what in ("params", "snapshots"))
_CHECKPOINTS = {"cpu": "checkpoint.safetensors", "cuda": "checkpoint-cuda.safetensors"}
"""By the type of device: another type rounds differently and would end in other bits."""
_HEADER = 2**26
"""Maximum length of a checkpoint's header, in bytes."""


@dataclass(frozen=True)
class Fit:
    """R trained replicates and the history of their training."""

    params: Params  # {name: [R, *p]}, the deployed states
    accuracy: Array  # float [R], validation accuracy of the deployed states
    facts: dict[str, Fact]
    curves: dict[str, Array]  # per epoch and replicate: validation loss and accuracy, [E, R]
    device: str = "cpu"  # the type of the device that trained them

    def only(self, replicate: int) -> "Fit":
        """The fit of one replicate."""
        one = slice(replicate, replicate + 1)
        return Fit(
            {name: p[one] for name, p in self.params.items()},
            self.accuracy[one],
            self.facts,
            {name: c[:, one] for name, c in self.curves.items()},
            self.device,
        )


def write_fit(folder: Path, fit: Fit, state: TrainingState) -> None:
    """Writes a finished fit, then removes its checkpoints.

    Raises:
        StorageError: it cannot be written; the checkpoints are kept.
    """
    files = {_PARAMS: save(_cpu(fit.params))}
    if state.snapshots:
        stacked = {n: torch.stack([s[n] for s in state.snapshots]) for n in state.snapshots[0]}
        files[_SNAPSHOTS] = save(stacked)
    for name, data in files.items():
        write_own(folder / name, data)
    content = {
        "fit": folder.name,
        "device": fit.device,
        "accuracy": fit.accuracy.tolist(),
        "facts": fit.facts,
        "curves": {k: v.tolist() for k, v in fit.curves.items()},
        "snapshot_accuracy": [a.tolist() for a in state.snapshot_accuracy],
        "files": {n: [len(data), hashlib.sha256(data).hexdigest()] for n, data in files.items()},
    }
    text = json.dumps(sealed(content), allow_nan=False)
    write_own(folder / "fit.json", text.encode())
    for name in _CHECKPOINTS.values():
        (folder / name).unlink(missing_ok=True)


def read_fit(folder: Path, device: torch.device, warn: Warn = errors.warn) -> Fit | None:
    """Reads the finished fit of a folder; returns None if it is absent or damaged.

    A damaged one is kept under other names.
    """
    try:
        content = _content(folder)
        if content is None:
            return None
        params = _read(folder, _PARAMS, content, device)
    except Damaged as damage:
        discard(folder)
        warn(f"the trained replicates in {folder} are damaged ({damage}) and are trained again.")
        return None
    return Fit(
        params=params,
        accuracy=np.asarray(content["accuracy"]),
        facts=content["facts"],
        curves={k: np.asarray(v) for k, v in content["curves"].items()},
        device=content.get("device", "cpu"),
    )


def read_snapshots(
    folder: Path, device: torch.device, warn: Warn = errors.warn
) -> tuple[Params, Array] | None:
    """Reads a baseline's kept states {name: [S, R, *p]} and their validation accuracy [S, R].

    Returns None if they are absent or damaged.
    """
    try:
        content = _content(folder)
        if content is None:
            return None
        states = _read(folder, _SNAPSHOTS, content, device)
    except Damaged as damage:
        warn(f"the snapshots in {folder} are damaged ({damage}) and are trained again.")
        return None
    return states, np.asarray(content["snapshot_accuracy"])


def discard(folder: Path) -> None:
    """Keeps the fit of a folder under other names, so that it is trained again."""
    for name in ("fit.json", _PARAMS, _SNAPSHOTS):
        set_aside(folder / name, "damaged")


def write_checkpoint(folder: Path, state: TrainingState) -> None:
    """Writes a training state to one file. If killed meanwhile, the previous file stays readable.

    Its name says on which type of device the training runs.

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
    name = _CHECKPOINTS[next(iter(state.params.values())).device.type]
    tensors, numbers = _cpu(tensors), json.dumps(_numbers(state))
    metadata = {"state": numbers, "sha256": _of_state(folder.name, tensors, numbers)}
    write_own(folder / name, save(tensors, metadata))


def read_checkpoint(
    folder: Path, device: torch.device, warn: Warn = errors.warn
) -> TrainingState | None:
    """Reads the training state of a folder's checkpoint; None if it is absent or damaged.

    A damaged one is kept under another name. One that another type of device wrote is left for it.
    """
    path = folder / _CHECKPOINTS[device.type]
    _mention_others(folder, path, device, warn)
    try:
        found = _checkpoint(path)
    except Damaged as damage:
        set_aside(path, "damaged")
        warn(f"{path} is damaged ({damage}); training starts from the beginning.")
        return None
    if found is None:
        return None
    tensors, content = found
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


def _mention_others(folder: Path, own: Path, device: torch.device, warn: Warn) -> None:
    """Warns if training began on another type of device: it does not continue on this one."""
    for other, name in _CHECKPOINTS.items():
        if name != own.name and (folder / name).exists() and not own.exists():
            warn(
                f"{folder / name} was begun on {other}, which rounds differently, so {device.type} "
                f"trains from the beginning; device={other} continues it (docs/devices.md)."
            )


# The fields that hold no tensors, which a checkpoint keeps as JSON.
OTHERS = ("params", "velocity", "best", "rule_state", "snapshots", "memory", "left_out")
NUMBERS = [f for f in fields(TrainingState) if f.name not in OTHERS]


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


def _content(folder: Path) -> dict[str, Any] | None:
    """The content of fit.json; None without one."""
    try:
        content = read_sealed(folder / "fit.json")
    except Damaged as damage:
        raise Damaged(f"fit.json: {damage}") from damage
    if content is not None and content.get("fit") != folder.name:
        raise Damaged(f"fit.json is that of fit {content.get('fit')}")
    return content


def _read(folder: Path, name: str, content: Mapping[str, Any], device: torch.device) -> Params:
    size, wanted = content["files"].get(name, (0, None))
    try:
        data = read_bytes(folder / name, size)
    except Damaged as damage:
        raise Damaged(f"{name}: {damage}") from damage
    if data is None:
        raise Damaged(f"{name} is missing")
    if wanted != hashlib.sha256(data).hexdigest():
        raise Damaged(f"{name} has another checksum")
    return {n: t.to(device) for n, t in load(data).items()}


def _checkpoint(path: Path) -> tuple[Params, dict[str, Any]] | None:
    """The tensors and the numbers of a checkpoint; None without one."""
    with opened(path, ARRAYS) as file:
        if file is None:
            return None
        try:
            header = _header(file)
            file.seek(0)
            data = file.read()
        except OSError as error:
            raise Damaged(f"it cannot be read ({error.strerror or error})") from error
    try:
        tensors = load(data)
        numbers, wanted = header["__metadata__"]["state"], header["__metadata__"]["sha256"]
    except (SafetensorError, KeyError, TypeError) as error:
        raise Damaged("it cannot be read") from error
    if wanted != _of_state(path.parent.name, tensors, numbers):
        raise Damaged("it has another checksum, or is that of another fit")
    return tensors, json.loads(numbers)


def _header(file: BinaryIO) -> dict[str, Any]:
    """The header of a file of tensors, which is as long as the header says."""
    length = int.from_bytes(file.read(8), "little")
    if length > _HEADER:
        raise Damaged("it cannot be read")
    header = parse(file.read(length))
    try:
        ends = [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"]
        size = 8 + length + max(ends)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise Damaged("it cannot be read") from error
    if file.seek(0, os.SEEK_END) != size:
        raise Damaged("it has another length than it says")
    found: dict[str, Any] = header
    return found


def _of_state(fit: str, tensors: Params, numbers: str) -> str:
    digest = hashlib.sha256(f"{fit}\n{numbers}".encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
