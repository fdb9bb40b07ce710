"""The store: what is kept in an outputs folder, as `Layout` places it."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from trustbench import errors
from trustbench.errors import UserError
from trustbench.store.addresses import text_named
from trustbench.store.arrays import pack, read_arrays, read_raw
from trustbench.store.files import (
    append_line,
    exclusive,
    put_away,
    set_aside,
    write_own,
)
from trustbench.store.layout import Layout
from trustbench.store.reading import Damaged
from trustbench.store.record_files import (
    UnreadableRecord,
    find_record,
    read_record,
    read_sweep,
    to_json,
)
from trustbench.store.schema import (
    SCHEMA,
    ArmSpec,
    Evaluation,
    MeasurementRecord,
    Pilot,
    PluginSpec,
    ProblemSpec,
    Record,
    Scalar,
    Status,
    Strict,
    Sweep,
    Tried,
)

__all__ = [
    "SCHEMA",
    "ArmSpec",
    "Evaluation",
    "MeasurementRecord",
    "Pilot",
    "PluginSpec",
    "ProblemSpec",
    "Record",
    "Scalar",
    "Status",
    "Store",
    "Strict",
    "Sweep",
    "Tried",
    "UnreadableRecord",
    "read_record",
]


T = TypeVar("T")


class Store(Layout):
    """The outputs folder. Unreadable content is skipped and reported through `warn`."""

    def __init__(self, root: Path, warn: Callable[[str], object] = errors.warn) -> None:
        super().__init__(text_named(root).absolute())
        self.warn = warn

    @property
    def refits(self) -> "Store":
        """The store of models that are trained again for export; no table reads it."""
        return Store(self.root / "refits", self.warn)

    def exclusive(
        self, arm: str, waiting: Callable[[], object] = lambda: None
    ) -> AbstractContextManager[None]:
        """Holds an arm's lock; calls `waiting` if another process has it."""
        return exclusive(self.arm_dir(arm), waiting)

    def note(self, arm: str, text: str) -> None:
        """Adds a line to an arm's journal."""
        append_line(self.arm_dir(arm) / "journal", text)

    def write(
        self, record: Record, arrays: Mapping[str, np.ndarray[Any, Any]] | None = None
    ) -> Record:
        """Writes arrays first and the record last, each atomically; returns the record as written.

        Raises:
            StorageError: one of them cannot be written; the previous content is intact.
        """
        folder = self.arm_dir(record.id)
        if arrays is not None:
            data = pack(record.id, arrays)
            write_own(folder / "arrays.npz", data)
            sha = hashlib.sha256(data).hexdigest()
            record = record.model_copy(update={"arrays_sha256": sha})
        write_own(folder / "record.json", to_json(record))
        return record

    def read(self, arm: str) -> Record | None:
        """Reads the record of an arm; None if it is absent or unusable."""
        path = self.arm_dir(arm) / "record.json"
        try:
            return find_record(path, arm)
        except UnreadableRecord as error:
            self.warn(f"{error} It is left out.")
            return None

    def reclaim(self, arm: str) -> Record | None:
        """Does the same, and keeps an unusable record under another name.

        Only the process that holds the arm's lock may call it.
        """
        path = self.arm_dir(arm) / "record.json"
        try:
            return find_record(path, arm)
        except UnreadableRecord as error:
            kept = set_aside(path, error.what)
            set_aside(path.with_name("arrays.npz"), error.what)
            self.warn(f"{error} It is kept as {kept.name}, and its arm is computed again.")
            return None

    def arrays(self, arm: str) -> dict[str, np.ndarray[Any, Any]]:
        """Reads the arrays of an arm; empty if they are absent or unusable."""
        path = self.arm_dir(arm) / "arrays.npz"
        try:
            return read_arrays(path, arm)
        except Damaged as damage:
            self.warn(f"{path} is damaged ({damage}); it is left out.")
            return {}

    def reclaim_arrays(self, record: Record) -> dict[str, np.ndarray[Any, Any]]:
        """Reads the arrays of a record that can be trusted; keeps others under another name.

        Those of a finished record are as written; those of an unfinished one may be one evaluation
        ahead of it, each intact. Only the process that holds the arm's lock may call it.
        """
        path = self.arm_dir(record.id) / "arrays.npz"
        try:
            found = read_arrays(path, record.id)
            if record.status == "ok" and not self.whole(record):
                raise Damaged("they are missing, or older than its record")
        except Damaged as damage:
            set_aside(path, "damaged")
            self.warn(
                f"the arrays of arm {record.id} cannot be used ({damage}); it is measured again."
            )
            return {}
        return found

    def whole(self, record: Record) -> bool:
        """Whether a finished record's arrays are on disk as they were written."""
        try:
            data = read_raw(self.arm_dir(record.id) / "arrays.npz", record.id)
        except Damaged:
            return False
        return data is not None and hashlib.sha256(data).hexdigest() == record.arrays_sha256

    def records(self) -> Iterator[Record]:
        """Reads every usable record below the folder, sorted by id; warns about the others."""
        for folder in sorted(self.root.glob("arms/*")):
            try:
                record = self.read(folder.name)
            except UserError as error:  # a folder that nobody here has named
                self.warn(f"{error} It is left out.")
                continue
            if record is not None:
                yield record

    def sweep(self, experiment: str) -> Sweep | None:
        """Reads the manifest of an experiment's last sweep; None without one.

        Raises:
            UserError: it cannot be read, or is of another experiment.
        """
        path = self.sweep_file(experiment)
        if not path.is_symlink() and not path.exists():
            return None
        found = read_sweep(path)
        if found.experiment != experiment:
            raise UserError(
                f"{path} is the list of another experiment, {found.experiment}; run the sweep "
                "again, which computes nothing twice and writes the list anew."
            )
        return found

    def experiments(self) -> list[str]:
        """The experiments that have a sweep manifest, sorted."""
        return sorted(p.stem for p in self.root.glob("sweeps/*.json"))

    def last_sweeps(self) -> list[Sweep]:
        """Reads every experiment's last sweep; warns about those that cannot be read."""
        return self._sweeps(self.sweep, self.experiments())

    def sweeps(self) -> list[Sweep]:
        """Reads every sweep of every experiment, including those that a later one replaced."""
        return self._sweeps(read_sweep, sorted(self.root.glob("sweeps/past/*.json")))

    def _sweeps(self, read: Callable[[T], Sweep | None], names: Iterable[T]) -> list[Sweep]:
        found = []
        for name in names:
            try:
                found.append(read(name))
            except UserError as error:
                self.warn(f"{error} It is left out.")
        return [sweep for sweep in found if sweep is not None]

    def write_sweep(self, sweep: Sweep) -> None:
        """Writes a sweep's manifest, as the experiment's last one and among all past ones.

        A last one that cannot be read is kept under another name.
        """
        data = to_json(sweep)
        which = hashlib.sha256(data).hexdigest()[:8]
        path = self.sweep_file(sweep.experiment)
        past = self.root / "sweeps" / "past" / f"{sweep.experiment}-{which}.json"
        try:
            self.sweep(sweep.experiment)
        except UserError:
            put_away(path)
        write_own(path, data)
        write_own(past, data)
