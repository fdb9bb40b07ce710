"""The tracking database of a store: made once, by whoever comes first, and whole."""

import multiprocessing

import pytest

from trustbench import tracking
from trustbench.store.records import Store


def _prepare(folder, say):
    say.put(tracking.prepare(Store(folder), None, "mine"))


@pytest.mark.slow
def test_processes_that_race_to_make_a_database_share_one(tmp_path):
    for name in (".mlflow.db.making", ".mlflow.db.making-journal", ".mlflow.db.whole"):
        (tmp_path / name).write_text("of a process that was killed")
    spawn = multiprocessing.get_context("spawn")
    said = spawn.Queue()
    racers = [spawn.Process(target=_prepare, args=(tmp_path, said)) for _ in range(3)]
    for process in racers:
        process.start()
    runs = {said.get(timeout=200) for _ in racers}
    for process in racers:
        process.join(30)
        assert process.exitcode == 0
    assert tracking.prepare(Store(tmp_path), None, "mine") in runs
    left = {p.name for p in tmp_path.iterdir()} - {"mlflow.db-wal", "mlflow.db-shm"}
    assert left == {"mlflow.db", ".mlflow.db.lock"}


def test_a_disk_without_room_for_a_database_is_one_sentence(full_disk):
    with pytest.raises(tracking.TrackingError, match="full"):
        tracking.prepare(Store(full_disk), None, "mine")
    assert [p.name for p in full_disk.iterdir() if p.stat().st_size] == []
