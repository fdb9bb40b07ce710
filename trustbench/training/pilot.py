"""The pilot of `training.lr=auto`: trains the baseline at each rate of a grid and picks the best.

A rate is judged by the lowest validation loss that its replicates reach at any epoch. The `tuned`
regime stops there; accuracy would leave many rates tied on few rows or rare classes. The
`memorising` regime continues past that epoch, and the better a rate memorises, the sooner its loss
rises again: the loss or the accuracy of the last epoch would choose the rate that memorises least.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from trustbench import errors
from trustbench.errors import ConfigError, TrainingDiverged
from trustbench.store.files import set_aside, write_own
from trustbench.store.reading import Damaged, read_sealed, sealed
from trustbench.store.records import Pilot, Strict, Tried
from trustbench.training import loop
from trustbench.training.engines import Params
from trustbench.training.state import Trainer

REPLICATES = 4
_FILE = "pilot.json"

Warn = Callable[[str], object]


class _Stored(Strict):
    """The content of a pilot's file."""

    id: str
    tried: tuple[Tried, ...]


def try_rate(trainer: Trainer, params: Params, progress: Callable[[int, int], None]) -> Tried:
    """Measures how replicates that start from `params` learn at the trainer's rate."""
    rate = trainer.schedule.lr
    try:
        state = loop.train(trainer, params, progress)
    except TrainingDiverged as error:
        return Tried(rate=rate, loss=None, diverged=len(error.failed))
    lowest = np.min(state.loss, axis=0)  # over epochs, for each replicate
    return Tried(rate=rate, loss=float(lowest.mean()))


def chosen(tried: Iterable[Tried], epochs: int) -> Pilot:
    """Returns the best rate of a grid; of two with the same loss, the smaller one.

    Raises:
        ConfigError: every rate diverged.
    """
    ordered = tuple(sorted(tried, key=lambda t: t.rate))
    usable = [(t.loss, t.rate) for t in ordered if t.loss is not None]
    if not usable:
        rates = ", ".join(f"{t.rate:zg}" for t in ordered)
        raise ConfigError(
            f"training.lr=auto: at every rate of training.lr_grid ({rates}) replicates of the "
            f"pilot diverged within {epochs} epoch{'s' if epochs > 1 else ''}; give smaller rates."
        )
    return Pilot(rate=min(usable)[1], tried=ordered, replicates=REPLICATES, epochs=epochs)


def write_tried(folder: Path, pilot_id: str, tried: Sequence[Tried]) -> None:
    """Stores the rates that a pilot has tried so far.

    Raises:
        StorageError: it cannot be written.
    """
    stored = _Stored(id=pilot_id, tried=tuple(tried))
    text = json.dumps(sealed(stored.model_dump(mode="json")), indent=1) + "\n"
    write_own(folder / _FILE, text.encode())


def read_tried(folder: Path, pilot_id: str, warn: Warn = errors.warn) -> tuple[Tried, ...]:
    """Reads the rates that a pilot has tried before; empty if its file is absent or damaged."""
    path = folder / _FILE
    try:
        content = read_sealed(path)
        if content is None:
            return ()
        stored = _Stored.model_validate(content)
        if stored.id == pilot_id:
            return stored.tried
        why = f"it is of pilot {stored.id}"
    except (Damaged, ValidationError) as damage:
        why = str(damage) if isinstance(damage, Damaged) else "it lacks fields"
    warn(f"{path} is damaged ({why}); the pilot is run again.")
    return ()


def reclaim_tried(folder: Path, pilot_id: str, warn: Warn = errors.warn) -> tuple[Tried, ...]:
    """Does the same, and keeps a damaged file under another name.

    Only the process that holds the folder's lock may call it.
    """
    found = read_tried(folder, pilot_id, warn)
    if not found:
        set_aside(folder / _FILE, "damaged")
    return found
