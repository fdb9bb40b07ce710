"""A process with all it has started: its memory, and its end."""

import os
import subprocess
import sys
import time

from trustbench.launching.processes import family, kill_descendants, kill_tree, resident_gb

# starts a child in its group, one in a session of its own, and a grandchild
NEST = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
inner = [sys.executable, "-c", f"import subprocess; subprocess.run({sleep!r})"]
subprocess.Popen(sleep), subprocess.Popen(inner, start_new_session=True)
time.sleep(600)
"""


def _nest():
    leader = subprocess.Popen([sys.executable, "-c", NEST], start_new_session=True)
    deadline = time.monotonic() + 60
    while len(family(leader.pid)) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return leader


def _gone(pids):
    deadline = time.monotonic() + 30
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  # a race with its end
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_tree_ends_with_what_has_left_its_group():
    leader = _nest()
    pids = family(leader.pid)
    kill_tree(leader.pid)
    leader.wait(30)
    _gone(pids)
    kill_tree(leader.pid)  # of one that is gone, nothing is left to do


def test_descendants_end_without_their_leader():
    leader = _nest()
    pids = family(leader.pid) - {leader.pid}
    kill_descendants(leader.pid)
    _gone(pids)
    assert leader.poll() is None
    leader.kill()
    leader.wait(30)


def test_memory_is_that_of_the_whole_family():
    own = resident_gb(os.getpid())
    code = "import time; x = bytearray(300_000_000); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while resident_gb(os.getpid()) < own + 0.3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert 0.3 < resident_gb(child.pid) < 0.4
    child.kill()
    child.wait(30)
    assert resident_gb(child.pid) == 0.0
