"""The sweep that faults are injected into, and what must be true of it afterwards."""

import json
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.faults.processes import ROOT, Run
from trustbench import tracking
from trustbench.config.arms import Training
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.store.digests import values_digest
from trustbench.store.records import Store

EXPERIMENT = "faults"
PART = "faults_part"
"""Another experiment, with half of the arms."""
EVALUATORS = ("utility", "fairness", "privacy", "uncertainty", "explainability")
TABLES = (".md", ".csv", ".json", ".tex")


def write_experiment(folder: Path) -> None:
    """`conf/experiment/smoke.yaml` with fewer evaluators and epochs; and one of half its arms."""
    smoke = yaml.safe_load((ROOT / "conf" / "experiment" / "smoke.yaml").read_text())
    settings = {k: v for k, v in smoke["evaluator"].items() if k in EVALUATORS}
    content = {
        "defaults": [{"override /evaluator": list(EVALUATORS)}],
        **{k: v for k, v in smoke.items() if k not in ("evaluator", "training")},
        "training": {"epochs": 3},
        "evaluator": settings,
    }
    (folder / "experiment").mkdir(parents=True)
    _write(folder, EXPERIMENT, content)
    arms = content["hydra"]["sweeper"]["arms"]
    shared = dict(list(arms.items())[::2])
    _write(folder, PART, {**content, "hydra": {"mode": "MULTIRUN", "sweeper": {"arms": shared}}})


def _write(folder: Path, experiment: str, content: Mapping[str, object]) -> None:
    path = folder / "experiment" / f"{experiment}.yaml"
    path.write_text(f"# @package _global_\n# the smoke sweep, small\n{yaml.safe_dump(content)}")


def command(
    conf: Path, out: Path, more: Sequence[str] = (), experiment: str = EXPERIMENT
) -> list[str]:
    """The arguments of `trustbench`; a checkpoint after every epoch."""
    fixed = ["run", "--config-dir", str(conf), f"+experiment={experiment}"]
    return [*fixed, f"output_dir={out}", "device=cpu", "checkpoint_s=0", *more]


@dataclass(frozen=True)
class State:
    """Everything a sweep has stored."""

    digests: Mapping[str, str]  # arm -> values of its finished record and its arrays
    records: Mapping[str, bytes]  # arm -> the bytes of its finished record
    tables: Mapping[str, bytes]
    journals: Mapping[str, Sequence[str]]  # arms/ID or fits/ID -> "start X", "done X", ...

    @property
    def lines(self) -> int:
        """How far the sweep is, in lines of all journals."""
        return sum(map(len, self.journals.values()))


def state(out: Path) -> State:
    """What is stored now; damaged records are not finished ones."""
    store = Store(out, warn=lambda _: None)
    finished = [r for r in store.records() if r.status == "ok" and store.whole(r)]
    return State(
        digests={r.id: values_digest(r, store.arrays(r.id)) for r in finished},
        records={r.id: (store.arm_dir(r.id) / "record.json").read_bytes() for r in finished},
        tables={p.name: p.read_bytes() for p in sorted(out.glob("tables/*")) if _is_table(p)},
        journals=journals(out),
    )


def _is_table(path: Path) -> bool:
    """Whether it is a table, and not what a fault has put in its place."""
    return path.suffix in TABLES and path.is_file() and path.stat().st_size < 2**30


def journals(out: Path) -> dict[str, list[str]]:
    """What was computed in each folder, by all processes, in order."""
    found = {}
    for path in sorted([*out.glob("arms/*/journal"), *out.glob("fits/*/journal")]):
        lines = path.read_text(errors="replace").splitlines()
        found[f"{path.parts[-3]}/{path.parts[-2]}"] = [line.split(" ", 3)[-1] for line in lines]
    return found


def computed_again(found: Mapping[str, Sequence[str]], damaged: set[str]) -> list[str]:
    """What was begun although it was finished, but where the trial itself had damaged it."""
    again = []
    for folder, lines in found.items():
        done: Counter[str] = Counter()
        for line in lines:
            what, _, key = line.partition(" ")
            if what == "start" and done[key] and folder not in damaged:
                again.append(f"{folder} {key}")
            elif what in ("done", "shared"):
                done[key] += 1
    return again


def problems(
    before: State, after: State, reference: State, damaged: set[str]
) -> dict[str, list[str]]:
    """What went wrong, by promise: all lists are empty when every promise was kept."""
    intact = {arm: data for arm, data in before.records.items() if f"arms/{arm}" not in damaged}
    return {
        "lost": [arm for arm, data in intact.items() if after.records.get(arm) != data],
        "duplicated": computed_again(after.journals, damaged),
        "wrong": [a for a, d in reference.digests.items() if after.digests.get(a) != d],
        "tables": [n for n, data in reference.tables.items() if after.tables.get(n) != data],
    }


def empty_database(folder: Path) -> Path:
    """An MLflow database without runs: making its tables takes seconds, copying it does not."""
    store = Store(folder)
    tracking.prepare(store, None, EXPERIMENT, sweep=False)
    whole = folder / "whole.db"
    with (
        closing(sqlite3.connect(store.tracking_db)) as source,
        closing(sqlite3.connect(whole)) as copy,
    ):
        source.backup(copy)
    return whole


def put_database(database: Path, out: Path) -> None:
    """Gives a store a database of its own."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(database, out / "mlflow.db")


def undisturbed(conf: Path, out: Path, deadline_s: float) -> tuple[State, float]:
    """The sweep's state after a run without a fault, and how long it took."""
    run = Run(command(conf, out), out.with_suffix(".log"))
    code = run.wait(deadline_s)
    if code != 0:
        raise RuntimeError(f"the sweep fails without a fault: {out.with_suffix('.log')}")
    return state(out), time.monotonic() - run.started


def remember_noise(out: Path) -> None:
    """Calibrates the noise of the sweep's DP-SGD arms here: forks of this process know it then.

    It takes seconds and is the same number each time.
    """
    for record in Store(out).records():
        for method in record.arm.interventions:
            if method.name == "dpsgd" and record.problem is not None:
                members = record.problem.sizes["members"]
                schedule = Training(**record.arm.training).schedule(members)
                rule = DPSGD(**method.params).gradient(schedule, members)
                rule.facts()


def some_files(out: Path, pattern: str) -> list[Path]:
    """The files that a fault may choose from, sorted."""
    return sorted(out.glob(pattern))


def set_schema(path: Path, version: int) -> None:
    """Makes a record one of another schema."""
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "schema_version": version}))


def folder_of(path: Path) -> str:
    """arms/ID or fits/ID."""
    return "/".join(path.parts[-3:-1])
