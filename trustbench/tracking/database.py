"""A tracking database in a file: created completely or not at all, by a single process."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from trustbench.errors import StorageError
from trustbench.store.addresses import of_file
from trustbench.store.files import locked
from trustbench.store.records import Store
from trustbench.tracking.relocation import relocate
from trustbench.tracking.server import TrackingError, TrackingServer


def make_database(store: Store, path: Path) -> None:
    """Creates a database with write-ahead logging unless it exists.

    MLflow takes seconds and many steps to create its tables. A second process that starts
    meanwhile, or a kill, would break the database for good, so it is created in a temporary file
    under a lock. Write-ahead logging lets readers and one writer work without waiting for each
    other.

    Raises:
        TrackingError: it cannot be created or opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f".{path.name}.lock")):
            if not path.exists():
                _make(store, path)
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("pragma journal_mode=WAL")
            moved = relocate(store, path) if path == store.tracking_db else None
        if moved is not None:
            store.warn(moved)
    except (OSError, StorageError, sqlite3.Error) as error:
        raise TrackingError(f"the tracking database {path} cannot be opened: {error}.") from error


def _make(store: Store, path: Path) -> None:
    making, whole = (path.with_name(f".{path.name}.{what}") for what in ("making", "whole"))
    _remove(making, whole)  # of a process that was killed
    try:
        server = TrackingServer(store, of_file(making))
        # trustbench has an experiment `default`; MLflow's own `Default` would stay empty beside it
        for experiment in server.call("search_experiments"):
            server.call("delete_experiment", experiment.experiment_id)
        # a copy: MLflow still has the first one open
        with closing(sqlite3.connect(making)) as made, closing(sqlite3.connect(whole)) as copy:
            made.backup(copy)
        whole.replace(path)
    finally:
        _remove(making, whole)


def _remove(*databases: Path) -> None:
    for path in databases:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):  # a full disk is reported on writing
                path.with_name(path.name + suffix).unlink(missing_ok=True)
