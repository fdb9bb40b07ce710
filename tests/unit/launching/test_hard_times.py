"""What an arm's process meets on a poor machine: no memory, no inodes, a signal that stops it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from tests.unit.launching import toys
from trustbench.execution import job
from trustbench.launching import attempt, processes
from trustbench.launching.attempt import _ending
from trustbench.launching.options import Options
from trustbench.launching.pool import SERVER, Pool
from trustbench.store import files
from trustbench.store.records import Store


def test_lack_of_memory_is_named_only_if_the_system_says_so():
    killed = -signal.SIGKILL
    assert "ran out of memory" in _ending(killed, 3, 4)
    assert _ending(killed, 3, 3) == "died with signal 9, SIGKILL"
    assert _ending(killed, None, None) == "died with signal 9, SIGKILL"
    assert _ending(-signal.SIGSEGV, 3, 4) == "died with signal 11, SIGSEGV"


def test_the_kernels_count_of_kills_for_memory_is_read(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda *_: "nr_free_pages 7\noom_kill 12\nend 1\n")
    assert processes.memory_kills() == 12
    monkeypatch.setattr(Path, "read_text", lambda *_: "nr_free_pages 7\n")
    assert processes.memory_kills() is None


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (MemoryError("Unable to allocate 9 EiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("shape mismatch"), False),
    ],
)
def test_an_exception_for_lack_of_memory_is_named_as_such(error, lacks):
    assert ("it ran out of memory" in job._sentence(error)) is lacks


def test_leftovers_of_the_future_are_removed_too(tmp_path):
    left = tmp_path / ".record.json.0123abcd"
    left.write_text("{")
    future = time.time() + 9999  # the clock was set back since
    os.utime(left, (future, future))
    files.remove_leftovers(tmp_path, older_than_s=60.0)
    assert left.exists()  # its writer may be at work
    files.remove_leftovers(tmp_path)
    assert not left.exists()


@pytest.fixture
def no_inodes(tmp_path):
    """A disk with free space that can hold no more files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small disk")
    options = "size=8m,nr_inodes=3"
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "trustbench-test", str(folder)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
    for name in ("a", "b"):
        (folder / name).touch()
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_no_inodes_left_is_a_sentence(no_inodes):
    with pytest.raises(files.StorageError, match="no more files \\(it has no inodes left\\)"):
        files.write_atomically(no_inodes / "c", b"")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_arm_without_inodes_fails_with_a_sentence_and_no_trace(no_inodes, capfd):
    (outcome,) = Pool(Options(slots=1)).run({"a": toys.arm(no_inodes)}, toys.work)
    assert outcome.status == "failed"
    assert outcome.reason.startswith("the disk can hold no more files")
    assert outcome.log is None
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_arm_that_a_signal_has_stopped_is_continued(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(attempt, "STOPPED_S", 0.5)
    SERVER.start()

    def stop():
        while not toys.notes(tmp_path):
            time.sleep(0.05)
        os.kill(int(toys.notes(tmp_path)[0][1].split(" ")[1]), signal.SIGSTOP)

    threading.Thread(target=stop).start()
    (outcome,) = Pool(Options(slots=1)).run({"a": toys.arm(tmp_path, "sleep:1")}, toys.work)
    assert outcome.status == "ok"
    assert "a signal had stopped it; it is continued." in capfd.readouterr().err
    assert Store(tmp_path).read(outcome.arm_id).status == "ok"


@pytest.mark.slow
def test_a_stopped_process_is_told_from_one_that_waits():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert not processes.stopped(child.pid)
        child.send_signal(signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        assert processes.stopped(child.pid)
    finally:
        child.kill()
        child.wait()
