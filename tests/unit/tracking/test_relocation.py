"""A copied or moved store uploads into itself, and its earlier artifacts are read from itself."""

import shutil

import pytest

from tests.unit.tracking.test_tracking import make_record
from trustbench import tracking
from trustbench.store.records import Store
from trustbench.tracking.runs import experiments
from trustbench.tracking.server import TrackingServer

pytestmark = pytest.mark.usefixtures("handmade_ids")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A store with one uploaded record; its artifacts lie in it."""
    store = Store(tmp_path_factory.mktemp("there") / "a b")
    upload(store, make_record("e" * 16))
    return store


def upload(store, record):
    record = store.write(record)
    tracking.prepare(store, None, "exp", sweep=False)
    tracking.log_record(store, None, "exp", record)
    return record


def files(store):
    return {p.relative_to(store.root): p.read_bytes() for p in artifacts(store)}


def artifacts(store):
    return [p for p in store.tracking_artifacts.rglob("*") if p.is_file()]


def test_a_copy_uploads_into_itself_and_says_so_once(original, tmp_path):
    notes = []
    copy = Store(tmp_path / "copy", notes.append)
    shutil.copytree(original.root, copy.root)
    before, count = files(original), len(artifacts(copy))
    new = upload(copy, make_record("f" * 16))
    (note,) = notes
    assert f"came from another folder, {original.root}" in note
    assert files(original) == before
    assert len(artifacts(copy)) == count + 1
    assert new in list(tracking.fetch_records(copy, None))
    upload(copy, make_record("d" * 16))
    assert len(notes) == 1


def test_a_moved_store_does_not_make_its_old_folder_again(original, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(original.root, old)
    upload(Store(old, list[str]().append), make_record("f" * 16))
    moved = Store(tmp_path / "moved", list[str]().append)
    shutil.move(old, moved.root)
    upload(moved, make_record("d" * 16))
    assert not old.exists()
    assert len(list(tracking.fetch_records(moved, None))) == 3


def test_a_location_that_somebody_chose_stays(original, tmp_path):
    copy = Store(tmp_path / "copy", list[str]().append)
    shutil.copytree(original.root, copy.root)
    mine = (tmp_path / "mine").as_uri()
    TrackingServer(copy, None).call("create_experiment", "mine", mine)
    tracking.prepare(copy, None, "exp", sweep=False)
    server = TrackingServer(copy, None)
    found = [server.call("get_experiment", e).artifact_location for e in experiments(server)]
    assert sorted(found) == sorted([mine, copy.tracking_artifacts.as_uri()])


def test_another_name_of_the_same_folder_is_not_another_folder(original, tmp_path):
    link, notes = tmp_path / "link", []
    link.symlink_to(original.root)
    tracking.prepare(Store(link, notes.append), None, "exp", sweep=False)
    assert notes == []
