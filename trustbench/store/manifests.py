"""Two sweeps of one experiment at the same time: which of them saw the other's manifest."""

import hashlib
from contextlib import AbstractContextManager

from trustbench.store.files import locked
from trustbench.store.records import Store


def manifest_digest(store: Store, experiment: str) -> str | None:
    """A digest of the manifest of an experiment's last sweep; None without one."""
    path = store.sweep_file(experiment)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def manifest_lock(store: Store, experiment: str) -> AbstractContextManager[None]:
    """Holds the lock of an experiment's manifest."""
    return locked(store.sweep_file(experiment).with_suffix(".lock"))
