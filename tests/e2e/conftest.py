"""Plugins of a user's own, outside of the package, and runs of the command line with them."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest

from trustbench import tracking
from trustbench.commands import cli
from trustbench.store.records import Store

ROOT = Path(__file__).resolve().parents[2]

PLUGINS = '''
"""A user's own data set, model and evaluators."""
import os, time
from dataclasses import dataclass
from typing import Annotated
import numpy as np
import torch
from pydantic import Field
from trustbench.contracts import (
    DataCard, Dataset, Evaluator, Feature, Intervention, Measured, Metric, Model, Problem,
    fraction)
from trustbench.errors import DataError

@dataclass(frozen=True)
class Toy(Dataset):
    rows: Annotated[int, Field(ge=100)] = 400
    spread: Annotated[float, Field(gt=0)] = 1.0
    sensitive: str = "g"

    def load(self, data_dir, streams):
        rng = streams.numpy("data")
        y = rng.integers(2, size=self.rows)
        group = (rng.random(self.rows) < 0.3).astype(np.int64)
        X = (rng.normal(size=(self.rows, 5)) + self.spread * y[:, None]).astype(np.float32)
        order = rng.permutation(self.rows)
        cuts = [int(self.rows * f) for f in (0.5, 0.6, 0.8)]
        names = ("train", "validation", "calibration", "test")
        return Problem(
            name="toy", X=X, y=y, group=group, classes=("no", "yes"), groups=("a", "b"),
            group_name=self.sensitive,
            features=tuple(Feature(f"x{j}", "numeric", (j,), -6.0, 8.0) for j in range(5)),
            splits=dict(zip(names, np.split(order, cuts), strict=True)),
            card=DataCard("two Gaussians", "none", "none", "none", synthetic=True))

@dataclass(frozen=True)
class Tiny(Model):
    hidden: Annotated[int, Field(ge=1)] = 4

    def build(self, problem):
        return torch.nn.Sequential(
            torch.nn.Linear(problem.n_features, self.hidden), torch.nn.ReLU(),
            torch.nn.Linear(self.hidden, len(problem.classes)))

class Aspectless(Evaluator):
    aspect = None
    metrics = (
        fraction("accuracy", "The share of test rows that are right.", better="higher"),
        Metric("one", "One.", "", "higher"),
    )

@dataclass(frozen=True)
class Hits(Aspectless):
    """Accuracy; `sleep_s` gives a test the time to kill the run."""
    sleep_s: float = 0.0

    def measure(self, system):
        time.sleep(self.sleep_s)
        X, y, group = system.problem.rows("test")
        hit = (system.decide(system.tensor(X), group).cpu().numpy() == y).mean(1)
        return Measured((self.measurement("accuracy", hit, len(y)),))

@dataclass(frozen=True)
class Broken(Aspectless):
    """Raises, on arms with an intervention."""

    def measure(self, system):
        if system.baseline is not None:
            raise RuntimeError("this evaluator is broken")
        return Measured((self.measurement("one", np.ones(system.replicates), 1),))

@dataclass(frozen=True)
class Refuses(Aspectless):
    """Finds the user's input wrong once it measures."""

    def measure(self, system):
        raise DataError("the toy has no rows to measure; give more.")

@dataclass(frozen=True)
class Exits(Aspectless):
    """Leaves the process in the middle of an arm."""

    def measure(self, system):
        raise SystemExit(7)
'''

OPTIONS = {
    "dataset/toy": "# a toy\nname: toy\n_target_: outsiders.Toy\nrows: 400\nspread: 1.0\n",
    "model/tiny": "# a tiny net\nname: tiny\n_target_: outsiders.Tiny\nhidden: 4\n",
    "evaluator/hits": "# hits\nhits:\n  _target_: outsiders.Hits\n  sleep_s: 0.0\n",
    "evaluator/broken": "# broken\nbroken:\n  _target_: outsiders.Broken\n",
    "evaluator/refuses": "# refuses\nrefuses:\n  _target_: outsiders.Refuses\n",
    "evaluator/exits": "# exits\nexits:\n  _target_: outsiders.Exits\n",
}


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An MLflow database without runs: making its tables takes seconds, copying it does not."""
    store = Store(tmp_path_factory.mktemp("template"))
    tracking.prepare(store, None, "template", sweep=False)
    whole = store.root / "whole.db"  # with what is still in the log beside the database
    with (
        closing(sqlite3.connect(store.tracking_db)) as source,
        closing(sqlite3.connect(whole)) as copy,
    ):
        source.backup(copy)
    return whole


@pytest.fixture
def outside(tmp_path, monkeypatch, empty_database):
    """A user's folder: a module `outsiders` and a conf folder, beside an outputs folder."""
    (tmp_path / "outsiders.py").write_text(PLUGINS)
    for name, text in OPTIONS.items():
        path = tmp_path / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    # workers of a launcher and subprocesses import the same module
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    monkeypatch.setenv("TRUSTBENCH_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    shutil.copy(empty_database, tmp_path / "outputs" / "mlflow.db")
    yield SimpleNamespace(
        folder=tmp_path,
        outputs=tmp_path / "outputs",
        args=[
            f"hydra.searchpath=[file://{tmp_path / 'conf'}]",
            "plugins=[outsiders]",
            "dataset=toy",
            "model=tiny",
            "evaluator=hits",
            "training.epochs=2",
            "protocol.replicates=4",
        ],
        write=lambda name, text: _write(tmp_path / "conf" / f"{name}.yaml", text),
    )
    sys.modules.pop("outsiders", None)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))


@pytest.fixture
def tutorial_folder(tmp_path, monkeypatch, empty_database):
    """An empty folder to work in, whose outputs already have a tracking database."""
    (tmp_path / "outputs").mkdir()
    shutil.copy(empty_database, tmp_path / "outputs" / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    for name in ("TRUSTBENCH_OUTPUTS", "TRUSTBENCH_DATA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def tb(capfd):
    """Runs `trustbench ARGS` in this process; its exit code, standard output and error."""

    def run(*args):
        capfd.readouterr()
        code = cli.main([str(a) for a in args])
        said = capfd.readouterr()
        return SimpleNamespace(code=code, out=said.out, err=said.err)

    return run


@pytest.fixture
def spawn(tmp_path):
    """Starts `python -m trustbench ARGS` as a process of its own."""

    def start(*args, **options):
        return subprocess.Popen(
            [sys.executable, "-m", "trustbench", *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **{"cwd": tmp_path, **options},
        )

    return start
