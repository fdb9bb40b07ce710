"""Damage to every file of a store: cut, zeroed, flipped, swapped, copied, forbidden, replaced.

run: python scripts/damage.py [--trials 500] [--seed 0] [--kinds swap,flip]
     python scripts/damage.py --write     also writes the figures into docs/resume.md

Each trial damages one file of a finished sweep, reads all of it, runs the sweep again and compares
every value with an undisturbed one. Exit code 0 if there was no wrong value and no surprise. A
trial with one keeps its folder. tests/damage/ holds the trials.
"""

import multiprocessing
import sys
import time
import warnings
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import trial_options

from tests.damage import bench, trials
from tests.damage.kinds import KINDS


def main() -> int:
    p = trial_options.parser(__doc__.splitlines()[0], 500, KINDS)
    given = trial_options.parse(p, KINDS, "damage")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of libraries, about their own dependencies
    started = time.monotonic()
    reference = bench.make(given.folder)
    one = partial(trials.trial, reference, given.folder)
    tasks = trials.tasks(given.trials, given.seed, given.kinds or list(KINDS))
    with multiprocessing.get_context("fork").Pool(given.jobs) as pool:
        results = pool.starmap(one, tasks, chunksize=1)
    for result in results:
        if not result.kept:
            print(result, *result.surprises, sep="\n", file=sys.stderr, flush=True)
    minutes = (time.monotonic() - started) / 60
    head = (
        f"{trial_options.command('damage', given)}: {len(results)} trials on "
        f"{len({r.file for r in results})} files, {minutes:.0f} minutes."
    )
    trial_options.show(given, "damage", [head, "", *trials.table(results)])
    return 0 if all(r.kept for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
