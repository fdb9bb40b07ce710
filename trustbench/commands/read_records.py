"""The records that a command reads: from a folder or a tracking server, of one sweep or of all."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trustbench import tracking
from trustbench.commands.parsing import existing_store
from trustbench.errors import UserError, did_you_mean
from trustbench.store.records import Record, Store, Sweep


@dataclass(frozen=True)
class Stored:
    """Every record there is, and the sweep chosen among them (None: no sweep was)."""

    store: Store
    """The folder given. Beside a server it need not exist."""
    records: tuple[Record, ...]
    sweep: Sweep | None
    tracking_uri: str | None = None
    """The server that the records are from; None: they are the folder's."""
    chosen: tuple[str, ...] = ()
    """Evaluations to read in place of others of the same evaluators."""

    @property
    def arms(self) -> list[Record]:
        """The records of the sweep; all of them without one."""
        if self.sweep is None:
            return list(self.records)
        wanted = set(self.sweep.arms)
        return [r for r in self.records if r.id in wanted]

    @property
    def evaluations(self) -> list[str] | None:
        """The evaluation ids that the sweep and the user asked for; None: all may be read."""
        asked = self.sweep.evaluations if self.sweep else None
        if not self.chosen:
            return asked
        names = {k: e.evaluator.name for r in self.records for k, e in r.evaluations.items()}
        chosen = {names[k] for k in self.chosen}
        kept = asked if asked is not None else list(names)
        return [*(k for k in kept if names.get(k) not in chosen), *self.chosen]

    def arrays(self, arm: str) -> Mapping[str, np.ndarray[Any, Any]]:
        """The arrays of an arm: those of the folder, else the server's; empty without any."""
        own = self.store.arrays(arm)
        if own or self.tracking_uri is None:
            return own
        wanted = {k for r in self.records if r.id == arm for k in r.evaluations}
        return tracking.fetch_arrays(self.store, self.tracking_uri, arm, wanted)


def read(given: argparse.Namespace, *, one_sweep: bool = True) -> Stored:
    """What --from or --tracking-uri holds, and the sweep that --experiment names.

    Without --experiment: a folder's only sweep, and none of a server's. Several in a folder are
    refused, unless `one_sweep` is false: then none is chosen.

    Raises:
        UserError: no such folder, no such sweep, or several to choose from.
        TrackingError: the server cannot be reached.
    """
    if given.tracking_uri:
        store = Store(Path(given.folder).expanduser())
        sweep = _sweep_of_server(store, given.tracking_uri, given.experiment)
    else:
        store = existing_store(given.folder)
        sweep = _sweep_of_folder(store, given.experiment, one_sweep)
    records = tuple(every_record(given))
    known = sorted({k for r in records for k in r.evaluations})
    chosen = tuple(vars(given).get("evaluation", ()))
    for key in chosen:
        if key not in known:
            raise UserError(f"no evaluation {key!r} is stored; {did_you_mean(key, known)}")
    return Stored(store, records, sweep, given.tracking_uri, chosen)


def every_record(given: argparse.Namespace) -> list[Record]:
    """Every record of the folder, or of the tracking server (of --experiment alone, if given)."""
    if given.tracking_uri:
        store = Store(Path(given.folder).expanduser())
        return list(tracking.fetch_records(store, given.tracking_uri, given.experiment))
    return list(existing_store(given.folder).records())


def _sweep_of_server(store: Store, uri: str, experiment: str | None) -> Sweep | None:
    return tracking.fetch_sweep(store, uri, experiment) if experiment else None


def _sweep_of_folder(store: Store, experiment: str | None, one_sweep: bool) -> Sweep | None:
    known = store.experiments()
    if experiment is None and len(known) > 1:
        if not one_sweep:
            return None
        raise UserError(
            f"{store.root} holds the sweeps of {', '.join(known)}; choose one with --experiment."
        )
    if experiment is not None and experiment not in known:
        raise UserError(
            f"no sweep of experiment {experiment!r} is stored; {did_you_mean(experiment, known)}"
        )
    return store.sweep(experiment or known[0]) if known else None
