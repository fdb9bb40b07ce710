"""A tracking server's database, and machines that share it and no disk."""

import pytest

from trustbench import tracking
from trustbench.store.records import Store


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A database that no store of this module's tests owns."""
    store = Store(tmp_path_factory.mktemp("server"))
    tracking.prepare(store, None, "exp")
    return tracking.resolve(store, None)


@pytest.fixture
def machine(tmp_path):
    """Makes stores that share no disk."""
    said = []

    def make(name):
        store = Store(tmp_path / name, warn=said.append)
        store.root.mkdir(exist_ok=True)
        return store

    make.said = said
    return make


_next = iter(range(16**8))


@pytest.fixture
def arm():
    """An arm id of the test's own: the database is shared."""
    return f"{next(_next):016x}"
