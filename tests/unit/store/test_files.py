"""Atomic writes, locks and leftovers."""

import errno
import multiprocessing
import os
import stat
import time

import pytest

from trustbench.errors import StorageError, TrustbenchError
from trustbench.store.files import append_line, exclusive, remove_leftovers, write_atomically


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_write_replaces_the_whole_file(tmp_path):
    path = tmp_path / "new" / "deep" / "file"
    write_atomically(path, b"first")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert names(path.parent) == ["file"]


def test_the_umask_decides_who_may_read(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_one_sentence_and_damages_nothing(tmp_path, monkeypatch, call):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync" if call == "fsync" else "pathlib.Path.replace", full)
    with pytest.raises(StorageError, match=r"the disk is full: .*file could not be written") as e:
        write_atomically(path, b"new")
    assert isinstance(e.value, TrustbenchError)
    assert isinstance(e.value, OSError)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_real_full_disk(tmp_path, full_disk):
    path = full_disk / "file"
    write_atomically(path, b"old")
    with pytest.raises(StorageError, match="the disk is full"):
        write_atomically(path, b"x" * 2**21)
    assert path.read_bytes() == b"old"
    assert names(full_disk) == ["file"]


def test_what_cannot_be_written_for_another_reason_says_which(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"file/record\.json cannot be written"):
        write_atomically(tmp_path / "file" / "record.json", b"x")
    with pytest.raises(StorageError, match="cannot be written"), exclusive(tmp_path / "file"):
        pass


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"x")
    assert names(tmp_path) == []


def test_leftovers_of_dead_writers_go_and_nothing_else(tmp_path):
    kept = ["record.json", "lock", ".hidden", ".gitignore", "journal", ".a.b"]
    gone = [".record.json.0a1b2c3d", ".arrays.npz.x_y8abcd"]
    for name in [*kept, *gone]:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path, older_than_s=3600)
    assert names(tmp_path) == sorted([*kept, *gone])
    with exclusive(tmp_path):
        assert names(tmp_path) == sorted(kept)


def _hold(folder, held, release):
    with exclusive(folder):
        held.set()
        release.wait(30)


def _wait(folder, said):
    with exclusive(folder, lambda: said.put("waits")):
        said.put("has it")


@pytest.mark.parametrize("how", ["released", "killed"])
def test_a_lock_is_waited_for_and_dies_with_its_holder(tmp_path, how):
    spawn = multiprocessing.get_context("spawn")  # a test worker has threads
    held, release, said = spawn.Event(), spawn.Event(), spawn.Queue()
    holder = spawn.Process(target=_hold, args=(tmp_path, held, release))
    holder.start()
    assert held.wait(30)
    waiter = spawn.Process(target=_wait, args=(tmp_path, said))
    waiter.start()
    assert said.get(timeout=30) == "waits"
    time.sleep(0.1)
    assert said.empty()
    release.set() if how == "released" else holder.kill()
    assert said.get(timeout=30) == "has it"
    for process in (holder, waiter):
        process.join(30)


def test_a_free_lock_is_not_waited_for(tmp_path):
    with exclusive(tmp_path, lambda: pytest.fail("nobody has it")):
        pass


def test_lines_are_appended(tmp_path):
    append_line(tmp_path / "journal", "start a")
    append_line(tmp_path / "journal", "done a")
    lines = (tmp_path / "journal").read_text().splitlines()
    assert [line.split(" ", 3)[3] for line in lines] == ["start a", "done a"]
    assert lines[0].split()[2] == str(os.getpid())
    with pytest.raises(StorageError):
        append_line(tmp_path / "missing" / "journal", "x")
