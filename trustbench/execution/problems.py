"""The data of arms, read once per process."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from trustbench.config.arms import Arm
from trustbench.contracts import Dataset, Problem
from trustbench.contracts.seeding import Streams
from trustbench.store import given
from trustbench.training import replicates

# The arms of a sweep share their data set, so each is read once per process.
_PROBLEMS: dict[tuple[str, str, int, int | None, str], Problem] = {}
KEPT_PROBLEMS = 4


def problem_of(arm: Arm) -> Problem:
    """The data of an arm: loaded once per process, and again if the user's own file changes."""
    settings = json.dumps(arm.dataset.spec().model_dump(), sort_keys=True, default=list)
    dataset = located(arm.dataset.plugin, arm.folder)
    state = dataset.state(arm.data_dir)
    where = f"{arm.folder} {arm.data_dir}"
    key = (settings, where, arm.seed, arm.training.max_members, state)
    if key not in _PROBLEMS:
        while len(_PROBLEMS) >= KEPT_PROBLEMS:
            _PROBLEMS.pop(next(iter(_PROBLEMS)))
        for name in dataset.paths:
            given.refuse_changed(Path(getattr(dataset, name) or ""))
        streams = Streams(arm.seed)
        problem = dataset.load(arm.data_dir, streams)
        _PROBLEMS[key] = replicates.restrict(problem, arm.training.max_members, streams)
    return _PROBLEMS[key]


def forget() -> None:
    """Has the data of later arms read again, as after somebody changed it in memory."""
    _PROBLEMS.clear()


def located(dataset: Dataset, folder: Path | None) -> Dataset:
    """The data set with its relative files where its command was given, if they are there.

    A job may start in another folder. Records keep the paths as they were written.
    """
    found: dict[str, Any] = {}
    for name in dataset.paths if folder is not None else ():
        value = getattr(dataset, name)
        path = folder / Path(value).expanduser() if folder and value else None
        if path is not None and path.exists():
            found[name] = str(path)
    return replace(dataset, **found) if found else dataset
