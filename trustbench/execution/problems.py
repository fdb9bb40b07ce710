"""The data of arms, read once per process."""

import json

from trustbench.config.arms import Arm
from trustbench.contracts import Problem
from trustbench.contracts.seeding import Streams
from trustbench.training import replicates

# The arms of a sweep share their data set, so each is read once per process.
_PROBLEMS: dict[tuple[str, str, int, int | None, str], Problem] = {}
KEPT_PROBLEMS = 4


def problem_of(arm: Arm) -> Problem:
    """The data of an arm: loaded once per process, and again if the user's own file changes."""
    settings = json.dumps(arm.dataset.spec().model_dump(), sort_keys=True, default=list)
    state = arm.dataset.plugin.state(arm.data_dir)
    key = (settings, str(arm.data_dir), arm.seed, arm.training.max_members, state)
    if key not in _PROBLEMS:
        while len(_PROBLEMS) >= KEPT_PROBLEMS:
            _PROBLEMS.pop(next(iter(_PROBLEMS)))
        streams = Streams(arm.seed)
        problem = arm.dataset.plugin.load(arm.data_dir, streams)
        _PROBLEMS[key] = replicates.restrict(problem, arm.training.max_members, streams)
    return _PROBLEMS[key]
