"""What unit tests of more than one file share."""

import os
import subprocess

import pytest


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a disk of one megabyte of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small disk")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "trustbench-test", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def arm(tmp_path, monkeypatch):
    """An arm of toy plugins, see arm_toys."""
    from tests.unit.arm_toys import toy_arm  # imports the runner: seconds

    return toy_arm(tmp_path, monkeypatch)


@pytest.fixture
def server():
    """A server of files on this machine."""
    from tests.unit.commands.download_server import Server

    with Server() as made:
        yield made
