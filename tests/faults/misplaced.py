"""Faults of a finished store: files of other arms, of other kinds, unreadable, or moved."""

import os
import shutil
from pathlib import Path

from tests.damage import kinds
from tests.faults import sweep
from tests.faults.trial import Trial

SWAPPED = (
    "arms/*/record.json",
    "arms/*/arrays.npz",
    "fits/*/fit.json",
    "fits/*/params.safetensors",
)
ANY = ("arms/*/record.json", "arms/*/arrays.npz", "fits/*/*.*", "sweeps/*.json", "tables/*.csv")


def swapped_twins(trial: Trial) -> None:
    """A file swapped with that of another arm or fit, whose arms are measured again."""
    trial.prepare_finished()
    one, other = trial.rng.sample(sweep.some_files(trial.out, trial.rng.choice(SWAPPED)), 2)
    trial.damage(other, lambda _: None)
    trial.damage(one, lambda path: kinds.swap(trial.rng, path, other))
    for path in (one, other):
        _measure_again(trial, path)
    trial.look()


def foreign_fit(trial: Trial) -> None:
    """The trained replicates of another arm, copied over those of one that is measured again."""
    trial.prepare_finished()
    one, other = trial.rng.sample(sweep.some_files(trial.out, "fits/*/fit.json"), 2)
    trial.damage(one, lambda path: kinds.duplicate_folder(trial.rng, path, other))
    _measure_again(trial, one)
    shutil.copy(trial.bench.finished / one.relative_to(trial.out).parent / "journal", one.parent)
    trial.look()


def odd_kind(trial: Trial) -> None:
    """A folder, a pipe, a socket, a broken link or a terabyte in a file's place."""
    trial.prepare_finished()
    path = trial.rng.choice(sweep.some_files(trial.out, trial.rng.choice(ANY)))
    trial.damage(path, lambda p: kinds.kind(trial.rng, p, p))
    _measure_again(trial, path)
    trial.look()


def unreadable(trial: Trial) -> None:
    """A file that may not be opened (mode 000), for the run that follows."""
    trial.prepare_finished()
    path = trial.rng.choice(sweep.some_files(trial.out, trial.rng.choice(ANY[:3])))
    trial.damage(path, lambda p: p.chmod(0))
    _measure_again(trial, path)
    trial.look()
    # root opens it all the same
    trial.patch = lambda: kinds.forbidden(path).__enter__()
    trial.expect(trial.start().wait(trial.bench.deadline_s), [0])


def moved_store(trial: Trial) -> None:
    """A finished store under another name, its old place taken by a file."""
    trial.prepare_finished()
    old, trial.out = trial.out, trial.folder / "moved"
    old.rename(trial.out)
    old.write_text("of the user")
    trial.look()
    trial.finish()
    if old.is_dir() or old.read_text() != "of the user":
        trial.wrong_ends.append("it wrote into its old place")


def _measure_again(trial: Trial, path: Path) -> None:
    """Loses the records of the arms that read a fit."""
    folder = path.parent
    if folder.parent.name != "fits":
        return
    for record in sweep.Store(trial.out, lambda _: None).records():
        if record.fit == folder.name:
            trial.damage(trial.out / "arms" / record.id / "record.json", os.unlink)
