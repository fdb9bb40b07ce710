"""Who uploads a run, and what became of them."""

import os
import subprocess
import sys

import pytest

from trustbench.tracking import owner


def test_this_process_knows_itself():
    assert owner.process_state(owner.tags()) == "this"


def test_another_process_lives_until_it_is_gone():
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        tags = {**owner.tags(), owner.PID: str(other.pid), owner.STARTED: owner._started(other.pid)}
        assert owner.process_state(tags) == "alive"
    finally:
        other.kill()
        other.communicate()
    assert owner.process_state(tags) == "gone"


@pytest.mark.parametrize(
    ("changed", "process_state"),
    [
        ({owner.STARTED: "1"}, "gone"),  # the id was given to another process since
        ({owner.BOOT: "another/pid:[1]"}, "gone"),
        ({owner.BOOT: owner._boot().split("/")[0] + "/pid:[1]"}, "elsewhere"),
        ({owner.HOST: "another"}, "elsewhere"),
        ({owner.PID: ""}, "elsewhere"),
        ({owner.PID: "1", owner.STARTED: owner._started(1)}, "alive"),  # another user's, often
    ],
)
def test_what_became_of_an_uploader(changed, process_state):
    assert owner.process_state({**owner.tags(), **changed}) == process_state


def test_a_run_without_an_uploader_is_of_elsewhere():
    assert owner.process_state({}) == "elsewhere"


def test_process_names_may_hold_brackets(tmp_path):
    script = tmp_path / "a) b (c"
    script.write_text("#!/bin/sh\nread x\n")
    script.chmod(0o700)
    with subprocess.Popen([script], stdin=subprocess.PIPE) as child:
        assert owner._started(child.pid).isdigit()
        child.communicate()
    assert os.getpid() > 0
