"""A small sweep, made once: six arms that use every kind of file of a store."""

import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from tests.unit.arm_toys import Net, Toy, Transfer
from trustbench.api.lookup import find_table
from trustbench.api.records import read_records
from trustbench.config.arms import Arm, Chosen, Protocol, Training
from trustbench.config.identity import evaluation_id
from trustbench.evaluators.fairness.fairness import Fairness
from trustbench.evaluators.utility import Utility
from trustbench.execution.arm import run_arm
from trustbench.interventions.fairness.balanced_weights import BalancedWeights
from trustbench.store.digests import values_digest
from trustbench.store.records import Store, Sweep
from trustbench.summary.render import FORMATS, write_all
from trustbench.summary.table.registry import Table
from trustbench.summary.table.results import TableResult
from trustbench.summary.table.table import summarize

EXPERIMENT = "damage"
EVALUATORS = (
    Chosen("utility", Utility()),
    Chosen("fairness", Fairness()),
    Chosen("transfer", Transfer()),
)


@dataclass(frozen=True)
class Reference:
    """The undisturbed sweep: its folder, arms by name, and what a reader finds in it."""

    folder: Path
    arms: dict[str, Arm]
    ids: dict[str, str]
    digests: dict[str, str]
    arrays: dict[str, dict[str, np.ndarray]]
    tables: dict[str, bytes]


class Stopped(BaseException):
    """Ends a training, as a kill does."""


def arms_in(out: Path) -> dict[str, Arm]:
    """The arms of the sweep: twins, a control with snapshots, a pilot, an unfinished training."""
    base = Arm(
        dataset=Chosen("toy", Toy(rows=300)),
        model=Chosen("net", Net()),
        training=Training(regime="tuned", epochs=3, batch_size=32, lr=0.2, snapshots=3),
        interventions=(),
        evaluators=EVALUATORS,
        protocol=Protocol(replicates=2),
        output_dir=out,
        checkpoint_s=0.0,
    )
    treated = replace(base, interventions=(Chosen("balanced_weights", BalancedWeights()),))
    auto = replace(base.training, lr="auto", lr_grid=(0.1, 0.2))
    return {
        "baseline": base,
        "treated": treated,
        "matched": replace(treated, control="matched"),
        "other seed": replace(base, seed=1),
        "pilot": replace(base, training=auto),
        "unfinished": replace(base, seed=2),
    }


def run(arm: Arm, store: Store) -> tuple[str, str]:
    """(id, digest of all values) of an arm that is finished now."""
    record, _ = run_arm(arm, store, lambda *_: None)
    return record.id, values_digest(record, store.arrays(record.id))


def publish(out: Path, ids: dict[str, str], notes: list[str]) -> None:
    """Writes the sweep's list of arms and its tables, as the end of a sweep does."""
    store = Store(out, notes.append)
    asked = list(map(evaluation_id, EVALUATORS))
    arms = list(ids.values())
    store.write_sweep(
        Sweep(experiment=EXPERIMENT, table="cresswell", arms=arms, evaluations=asked, names=ids)
    )
    write_all(results_in(out), store, EXPERIMENT)


def results_in(out: Path) -> list[TableResult]:
    """The tables of what can be read, as a command that reads the store has them."""
    records = read_records(out, EXPERIMENT)
    assert records.sweep is not None
    return summarize(records.arms, _table(), records.evaluations)


@cache
def _table() -> Table:
    return find_table("cresswell", None, [])


def make(folder: Path) -> Reference:
    """Runs the sweep, and begins a training that does not end.

    From here on this process writes empty pictures, and waits for no disk: either takes longer than
    the rest of a trial.
    """
    FORMATS["png"] = lambda _: b"no picture"
    os.fsync = lambda _: None
    whole, out = folder / "whole", folder / "finished"
    ids, digests = {}, {}
    for place in (whole, out):
        for name, arm in arms_in(place).items():
            if place == out and name == "unfinished":
                stop(arm)
            else:
                ids[name], digests[ids[name]] = run(arm, Store(place))
    publish(whole, ids, [])
    publish(out, ids, [])
    store = Store(whole)
    arrays = {i: store.arrays(i) for i in ids.values()}
    return Reference(out, arms_in(out), ids, digests, arrays, tables_in(whole))


def stop(arm: Arm) -> None:
    """Ends an arm in its second epoch, with a checkpoint of the first."""

    def kill(stage: str, done: int, _: int) -> None:
        if stage == "train" and done == 2:
            raise Stopped

    try:
        run_arm(arm, Store(arm.output_dir), kill)
    except Stopped:
        return
    raise RuntimeError("the training was not stopped")


def tables_in(out: Path) -> dict[str, bytes]:
    """The files of the sweep's tables, without the picture."""
    found = [p for p in (out / "tables").iterdir() if p.is_file() and p.suffix != ".png"]
    return {path.name: path.read_bytes() for path in found}
