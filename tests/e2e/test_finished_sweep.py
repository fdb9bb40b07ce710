"""A finished sweep run again: everything is kept, and what is not needed is not even imported."""

import os
import subprocess
import sys

import pytest

from trustbench.store.records import Store

EXPERIMENT = """# @package _global_
hydra:
  mode: MULTIRUN
  sweeper:
    arms: {baseline: [], weights: [intervention=balanced_weights]}
"""
AGAIN = """
import sys
from trustbench.commands import cli
code = cli.main(sys.argv[1:])
print("imported", *sorted({"mlflow", "sklearn", "opacus", "matplotlib"} & set(sys.modules)))
sys.exit(code)
"""


@pytest.fixture
def args(outside):
    outside.write("experiment/mine", EXPERIMENT)
    return ["run", *outside.args, "+experiment=mine"]


def files(folder):
    """{path: (bytes, time of the last change)} of all that a store keeps."""
    kept = [p for p in folder.rglob("*") if p.is_file() and p.name not in ("lock", "mlflow.db")]
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in kept if p.suffix != ".html"}


@pytest.mark.slow
def test_nothing_is_computed_drawn_uploaded_or_imported(args, outside, tb, monkeypatch):
    first = tb(*args, "hydra/launcher=basic")
    assert first.code == 0, first.err
    store = Store(outside.outputs)
    before = {p: f for p, f in files(store.root).items() if "sweeps" not in p.parts}
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, *args], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.environ["PYTHONPATH"]}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported"
    assert done.stderr.count("kept ") == 2
    after = files(store.root)
    assert {p: f for p, f in after.items() if "sweeps" not in p.parts} == before


@pytest.mark.slow
def test_the_launcher_is_asked_for_nothing(args, tb, monkeypatch):
    assert tb(*args, "hydra/launcher=basic").code == 0
    from hydra._internal.core_plugins import basic_launcher

    def started(*_, **__):
        raise AssertionError("a launcher was started for finished arms")

    monkeypatch.setattr(basic_launcher.BasicLauncher, "launch", started)
    again = tb(*args, "hydra/launcher=basic")
    assert again.code == 0, again.err
    assert again.err.count("kept ") == 2


@pytest.mark.slow
def test_a_missing_arm_table_or_upload_is_made_again(args, outside, tb):
    first = tb(*args, "hydra/launcher=basic")
    assert first.code == 0, first.err
    store = Store(outside.outputs)
    whole = files(store.root)
    (gone,) = [r.id for r in store.records() if r.arm.interventions]
    (store.arm_dir(gone) / "record.json").unlink()
    (picture,) = store.root.glob("tables/*.png")
    picture.unlink()
    store.tracked_sweep_file("mine").unlink()
    again = tb(*args, "hydra/launcher=basic")
    assert again.code == 0, again.err
    assert again.err.count("kept ") == 2, "one arm, in its own line and in the closing list"
    own = {p for p in whole if "mlflow-artifacts" not in p.parts}
    assert own <= set(files(store.root)), "whatever was gone is there again"
    assert picture.read_bytes() == whole[picture][0]
