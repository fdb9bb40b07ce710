"""Faults of files: cut off, gone, or of another version."""

import os
import signal
from pathlib import Path

from tests.faults import sweep
from tests.faults.processes import Pause
from tests.faults.trial import KILLED, Missed, Trial


def truncated_record(trial: Trial) -> None:
    """A record that ends at a random byte."""
    trial.prepare_finished()
    trial.truncate(trial.rng.choice(sweep.some_files(trial.out, "arms/*/record.json")))
    trial.look()


def other_schema(trial: Trial) -> None:
    """A record of an older or a newer version."""
    trial.prepare_finished()
    path = trial.rng.choice(sweep.some_files(trial.out, "arms/*/record.json"))
    version = trial.rng.choice([0, 99])
    before = path.read_bytes()
    trial.damage(path, lambda p: sweep.set_schema(p, version))
    changed = path.read_bytes()
    trial.look()
    trial.finish()
    kept = path.with_name(f"record.schema-{version}.json")
    if not kept.exists() or kept.read_bytes() != changed or before == changed:
        trial.wrong_ends.append(f"{kept.name} was not kept")


def damaged_arrays(trial: Trial) -> None:
    """Arrays cut off at a random byte, or gone."""
    trial.prepare_finished()
    path = trial.rng.choice(sweep.some_files(trial.out, "arms/*/arrays.npz"))
    if trial.rng.random() < 0.3:
        trial.damage(path, Path.unlink)
    else:
        trial.truncate(path)
    trial.look()


def damaged_fit(trial: Trial) -> None:
    """Trained replicates cut off at a random byte, and an arm that needs them."""
    trial.prepare_finished()
    store = sweep.Store(trial.out)
    record = trial.rng.choice(list(store.records()))
    files = sweep.some_files(trial.out, f"fits/{record.fit}/*.*")
    trial.truncate(trial.rng.choice(files))
    trial.damage(store.arm_dir(record.id) / "record.json", Path.unlink)
    trial.look()


def resumed_training(trial: Trial) -> None:
    """kill -9 while something is trained, which then goes on from its checkpoint."""
    _kill_training(trial)
    if not sweep.some_files(trial.out, "fits/*/checkpoint.safetensors"):
        trial.wrong_ends.append("no checkpoint is left to go on from")


def damaged_checkpoint(trial: Trial) -> None:
    """kill -9 while something is trained, and its checkpoint cut off at a random byte."""
    _kill_training(trial)
    trial.truncate(trial.rng.choice(sweep.some_files(trial.out, "fits/*/checkpoint.safetensors")))


def killed_and_damaged(trial: Trial) -> None:
    """kill -9 at a random moment, and any file of the store cut off at a random byte."""
    trial.prepare()
    run = trial.start()
    trial.wait_for_moment(run)
    run.signal(signal.SIGKILL)
    run.wait(trial.bench.deadline_s)
    found = [p for p in sweep.some_files(trial.out, "[af]*/*/*.*") if p.stat().st_size]
    if not found:
        raise Missed
    path = trial.rng.choice([p for p in found if p.name != "log.txt"] or found)
    trial.truncate(path)
    trial.look()


def damaged_list(trial: Trial) -> None:
    """The sweep's list of arms cut off at a random byte."""
    trial.prepare_finished()
    (path,) = sweep.some_files(trial.out, f"sweeps/{sweep.EXPERIMENT}.json")
    os.truncate(path, trial.rng.randrange(path.stat().st_size))
    trial.look()


def _kill_training(trial: Trial) -> None:
    """kill -9 while something is trained."""
    trial.prepare()
    trial.patch = pause = Pause(trial.rng.randint(1, 16))
    run = trial.start()
    trial.wait_until(run, lambda: pause.reached)
    run.signal(signal.SIGKILL)
    trial.expect(trial.end(run), [KILLED])
