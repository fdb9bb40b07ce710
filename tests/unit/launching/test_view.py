"""A sweep as it is shown: a live table on a terminal, lines elsewhere."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from tests.unit.launching.toys import arm
from trustbench.execution.job import ArmOutcome
from trustbench.launching.attempt import Attempt
from trustbench.launching.messages import Identified, Stage
from trustbench.launching.schedule import ScheduledArm
from trustbench.launching.table import LiveTable
from trustbench.launching.view import PlainLines, shown


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def jobs(tmp_path):
    return [ScheduledArm(i, f"arm{i:02}", arm(tmp_path, seed=i)) for i in range(12)]


def _running(job, stage="train", done=3, total=12, seconds=75.0, left=225.0):
    return SimpleNamespace(
        job=job, stage=Stage(stage, done, total), seconds=seconds, seconds_left=lambda: left
    )


def _drawn(table, height=40):
    console = Console(file=io.StringIO(), width=130)
    console.print(table.draw(height))
    return console.file.getvalue()


def test_the_table_shows_stage_elapsed_time_and_what_is_left(jobs):
    table = LiveTable(jobs[:3], Terminal())
    table.started(_running(jobs[1]))
    table.ended(
        jobs[2], ArmOutcome("a", "none", "failed", "no room\nmore", seconds=9, log="/x/log")
    )
    lines = _drawn(table).splitlines()
    assert lines[0].split() == ["arm", "what", "status", "done", "elapsed", "left", "why"]
    assert lines[1].split() == ["arm00", "none", "queued"]
    assert lines[2].split() == ["arm01", "none", "train", "3/12", "1:15", "3:45"]
    assert lines[3].split() == ["arm02", "none", "failed", "0:09", "no", "room", "(log:", "/x/log)"]
    assert lines[4] == "1 failed, 1 queued, 1 running"


def test_the_time_left_is_what_the_rest_takes_at_the_pace_so_far(jobs):
    table = LiveTable(jobs, Terminal())
    assert table.counts() == "12 queued; importing what arms need"
    table.ended(jobs[0], ArmOutcome("a", "none", "ok", seconds=0.1, reused=True))
    table.started(_running(jobs[1], seconds=20.0))
    table.started(_running(jobs[2], seconds=500.0))
    assert table.counts() == "1 kept, 9 queued, 2 running"  # what was kept tells no pace
    table.ended(jobs[3], ArmOutcome("a", "none", "ok", seconds=100.0))
    # ten arms of 100 s are not done, 20 s and a whole arm of it are, two run at once
    assert table.counts() == "1 kept, 1 ok, 8 queued, 2 running; about 7:20 left"


def test_a_long_reason_or_name_hides_no_status(jobs):
    jobs[0].name = "a name " * 30
    table = LiveTable(jobs[:2], Terminal())
    table.ended(jobs[0], ArmOutcome("a", "none", "failed", "reason " * 40))
    line = _drawn(table).splitlines()[1]
    assert "failed" in line
    assert line.rstrip().endswith("…")


def test_where_there_is_no_room_for_all_what_runs_or_failed_is_shown(jobs):
    table = LiveTable(jobs, Terminal())
    for job in jobs[:9]:
        table.ended(job, ArmOutcome("a", "none", "ok"))
    table.ended(jobs[4], ArmOutcome("a", "none", "timeout"))
    table.started(_running(jobs[9]))
    lines = _drawn(table, height=6).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["arm04", "arm09", "arm10", "arm11"]
    assert lines[-1] == "8 ok, 2 queued, 1 running, 1 timeout; about 0:00 left"


def test_what_goes_wrong_stays_above_the_table_and_moves_no_cursor(jobs):
    out = Terminal()
    with shown(jobs[:1], out) as table:
        assert isinstance(table, LiveTable)
        bad = ArmOutcome("a", "none", "failed", "\x1b[2Jcleared", warning="the server is silent.")
        table.ended(jobs[0], bad)
        table.note("and more")
    said = out.getvalue()
    assert "\x1b[2J" not in said
    assert "[2Jcleared" in said
    assert "warning: the server is silent." in said
    assert "and more" in said


def test_a_pipe_gets_a_line_for_each_stage_and_each_end(jobs):
    out = io.StringIO()
    with shown(jobs, out) as lines:
        assert isinstance(lines, PlainLines)
        attempt = _running(jobs[0])
        lines.started(attempt)
        for message in (Stage("train", 1, 3), Stage("train", 2, 3), Identified("a")):
            lines.received(attempt, message)
        lines.received(attempt, Stage("fairness", 0, 2))
        lines.tick()
        lines.ended(jobs[0], ArmOutcome("a", "none", "ok", reused=True, seconds=1.25))
    got = [line.split()[-1] for line in out.getvalue().splitlines()]
    assert got == ["start", "train", "fairness", "none"]
    assert out.getvalue().splitlines()[-1] == "kept            1.2 s  none"


def test_the_time_left_is_that_of_the_stage(monkeypatch):
    running = Attempt.__new__(Attempt)
    monkeypatch.setattr("trustbench.launching.attempt.time.monotonic", lambda: 110.0)
    running.stage, running.stage_started = Stage("train", 5, 20), 100.0
    assert running.seconds_left() == pytest.approx(30.0)
    running.stage = Stage("train", 0, 20)
    assert running.seconds_left() is None
    running.stage = Stage("train", 20, 20)
    assert running.seconds_left() is None
