"""What an arm's process does beside its arm: its log, and what it tells its parent."""

import io
import os
import sys
from multiprocessing import Pipe

import pytest

from trustbench.launching import child
from trustbench.launching.messages import Identified, Stage
from trustbench.store.records import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def kept_streams(capfd):
    """Standard output and error, given back after a test that has redirected them."""
    saved = [os.dup(n) for n in (1, 2)]
    yield
    for n, handle in zip((1, 2), saved, strict=True):
        os.dup2(handle, n)
        os.close(handle)


@pytest.mark.usefixtures("kept_streams")
def test_what_was_said_before_the_id_was_known_is_in_the_arms_log(store, monkeypatch):
    for name in ("stdout", "stderr"):  # as in a notebook, whose streams have no descriptor
        monkeypatch.setattr(child.sys, name, io.StringIO())
    for attempt in (1, 2):
        log = child.Log(store, f"attempt {attempt}")
        early = log.early
        sys.stderr.write("reading data\n")
        assert "attempt" in early.read_text()
        log.identified("a" * 16)
        log.identified("a" * 16)  # known already
        sys.stdout.write("training\n")
        assert not early.exists()
        assert not early.parent.exists()
    lines = store.log_file("a" * 16).read_text().splitlines()
    assert [line.split("UTC, ")[-1] for line in lines] == [
        "attempt 1", "reading data", "training", "attempt 2", "reading data", "training",
    ]  # fmt: skip


class Quiet:
    """A log that writes nothing."""

    def __init__(self):
        self.ids = []

    def identified(self, arm_id):
        self.ids.append(arm_id)


def _said(pipe):
    found = []
    while pipe.poll():
        found.append(pipe.recv())
    return found


def test_a_stage_is_told_at_once_and_its_progress_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(child.time, "monotonic", lambda: now[0])
    here, there = Pipe()
    log = Quiet()
    reports = child.PipeReports(there, log)
    reports("train", 0, 9)
    reports("train", 1, 9)  # within a tenth of a second
    now[0] += 0.2
    reports("train", 2, 9)
    reports("fairness", 0, 2)
    reports.identified("a")
    monkeypatch.undo()  # waiting on a pipe needs a clock that goes
    assert _said(here) == [
        Stage("train", 0, 9), Stage("train", 2, 9), Stage("fairness", 0, 2), Identified("a"),
    ]  # fmt: skip
    assert log.ids == ["a"]
    here.close()
    there.close()


def test_a_parent_that_is_gone_is_no_error_of_the_arm():
    here, there = Pipe()
    here.close()
    child.PipeReports(there, Quiet())("train", 0, 9)
    there.close()
