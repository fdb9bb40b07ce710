"""Trained replicates on disk: checkpoints while they train, safetensors when they are done.

No pickle is written or read. `fit.json` is written last: a folder without it is unfinished.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

from trustbench.contracts import Array, Fact
from trustbench.records import write_atomically
from trustbench.training.engines import Params
from trustbench.training.state import TrainingState


@dataclass(frozen=True)
class Fit:
    """R trained replicates and what their training says of itself."""

    params: Params  # {name: [R, *p]}, the deployed states
    accuracy: Array  # float [R], validation accuracy of the deployed states
    facts: dict[str, Fact]
    curves: dict[str, Array]  # per epoch and replicate: validation loss and accuracy, [E, R]


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds the folder's lock: one process trains, the others wait and then read.

    The kernel releases the lock when its holder dies, so a crash never blocks a later run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_fit(folder: Path, fit: Fit, state: TrainingState) -> None:
    """Writes a finished fit, then removes its checkpoint."""
    write_atomically(folder / "params.safetensors", save(_cpu(fit.params)))
    if state.snapshots:
        stacked = {n: torch.stack([s[n] for s in state.snapshots]) for n in state.snapshots[0]}
        write_atomically(folder / "snapshots.safetensors", save(stacked))
    content = {
        "accuracy": fit.accuracy.tolist(),
        "facts": fit.facts,
        "curves": {k: v.tolist() for k, v in fit.curves.items()},
        "snapshot_accuracy": [a.tolist() for a in state.snapshot_accuracy],
    }
    write_atomically(folder / "fit.json", json.dumps(content, allow_nan=False).encode())
    for name in ("checkpoint.json", "checkpoint.safetensors"):
        (folder / name).unlink(missing_ok=True)


def read_fit(folder: Path, device: torch.device) -> Fit | None:
    """The finished fit of a folder, or None."""
    if not (folder / "fit.json").exists():
        return None
    content = json.loads((folder / "fit.json").read_bytes())
    return Fit(
        params=_read(folder / "params.safetensors", device),
        accuracy=np.asarray(content["accuracy"]),
        facts=content["facts"],
        curves={k: np.asarray(v) for k, v in content["curves"].items()},
    )


def read_snapshots(folder: Path, device: torch.device) -> tuple[Params, Array]:
    """A baseline's kept states {name: [S, R, *p]} and their validation accuracy [S, R]."""
    content = json.loads((folder / "fit.json").read_bytes())
    accuracy = np.asarray(content["snapshot_accuracy"])
    return _read(folder / "snapshots.safetensors", device), accuracy


def write_checkpoint(folder: Path, state: TrainingState) -> None:
    """Writes a training state; a kill at any byte leaves the previous checkpoint readable.

    The epoch stands in both files, so that a kill between the two writes is noticed.
    """
    tensors = {
        **_prefixed("params", state.params),
        **_prefixed("velocity", state.velocity),
        **_prefixed("best", state.best),
        **_prefixed("rule", state.rule_state),
        "epoch": torch.tensor(state.epoch),
    }
    for k, memory in enumerate(state.memory):
        tensors.update(_prefixed(f"memory{k}", memory))
    for k, snapshot in enumerate(state.snapshots):
        tensors.update(_prefixed(f"snapshot{k}", snapshot))
    write_atomically(folder / "checkpoint.safetensors", save(_cpu(tensors)))
    write_atomically(folder / "checkpoint.json", json.dumps(_numbers(state)).encode())


def read_checkpoint(folder: Path, device: torch.device) -> TrainingState | None:
    """The training state of a folder's checkpoint, or None when there is no whole one."""
    paths = folder / "checkpoint.json", folder / "checkpoint.safetensors"
    if not all(p.exists() for p in paths):
        return None
    content, tensors = json.loads(paths[0].read_bytes()), _read(paths[1], device)
    if content["epoch"] != int(tensors.pop("epoch")):
        return None
    groups: dict[str, Params] = {}
    for name, tensor in tensors.items():
        prefix, rest = name.split("/", 1)
        groups.setdefault(prefix, {})[rest] = tensor
    kept = len(content["snapshot_accuracy"])
    return TrainingState(
        params=groups["params"],
        velocity=groups["velocity"],
        best=groups["best"],
        epoch=content["epoch"],
        best_loss=np.asarray(content["best_loss"]),
        best_epoch=np.asarray(content["best_epoch"]),
        best_accuracy=np.asarray(content["best_accuracy"]),
        loss=[np.asarray(v) for v in content["loss"]],
        accuracy=[np.asarray(v) for v in content["accuracy"]],
        snapshots=[{n: t.cpu() for n, t in groups[f"snapshot{k}"].items()} for k in range(kept)],
        snapshot_accuracy=[np.asarray(v) for v in content["snapshot_accuracy"]],
        rule_state=groups.get("rule", {}),
        memory=[groups.get(f"memory{k}", {}) for k in range(content["interventions"])],
    )


def _numbers(state: TrainingState) -> dict[str, Any]:
    return {
        "epoch": state.epoch,
        "best_loss": state.best_loss.tolist(),
        "best_epoch": state.best_epoch.tolist(),
        "best_accuracy": state.best_accuracy.tolist(),
        "loss": [v.tolist() for v in state.loss],
        "accuracy": [v.tolist() for v in state.accuracy],
        "interventions": len(state.memory),
        "snapshot_accuracy": [v.tolist() for v in state.snapshot_accuracy],
    }


def _prefixed(prefix: str, params: Params) -> Params:
    return {f"{prefix}/{n}": t for n, t in params.items()}


def _cpu(params: Params) -> Params:
    return {n: t.detach().cpu().contiguous() for n, t in params.items()}


def _read(path: Path, device: torch.device) -> Params:
    return {n: t.to(device) for n, t in load(path.read_bytes()).items()}
