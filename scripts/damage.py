"""Damage to every file of a store: cut, zeroed, flipped, swapped, copied, forbidden, replaced.

run: python scripts/damage.py [--trials 500] [--seed 0] [--kinds swap,flip]
     python scripts/damage.py --write     also writes the figures into docs/resume.md

Each trial damages one file of a finished sweep, reads all of it, runs the sweep again and compares
every value with an undisturbed one. Exit code 0 if there was no wrong value and no surprise. A
trial with one keeps its folder. tests/damage/ holds the trials.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from tests.damage import bench, trials  # noqa: E402
from tests.damage.kinds import KINDS  # noqa: E402

PAGE = ROOT / "docs" / "resume.md"
START, END = "<!-- damage -->", "<!-- /damage -->"


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--trials", type=int, default=500)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--jobs", type=int, default=2, help="trials at once")
    p.add_argument("--kinds", help=f"some of {', '.join(KINDS)}")
    p.add_argument("--folder", type=Path, help="where trials run; default: a temporary folder")
    p.add_argument("--write", action="store_true", help="write the figures into docs/resume.md")
    given = p.parse_args()
    kinds = given.kinds.split(",") if given.kinds else list(KINDS)
    unknown = set(kinds) - set(KINDS)
    if unknown:
        p.error(f"unknown kinds {', '.join(sorted(unknown))}; choose from {', '.join(KINDS)}")
    folder = given.folder or Path(tempfile.mkdtemp(prefix="trustbench-damage-"))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of libraries, about their own dependencies
    started = time.monotonic()
    reference = bench.make(folder)
    one = partial(trials.trial, reference, folder)
    tasks = trials.tasks(given.trials, given.seed, kinds)
    with multiprocessing.get_context("fork").Pool(given.jobs) as pool:
        results = pool.starmap(one, tasks, chunksize=1)
    for result in results:
        if not result.kept:
            print(result, *result.surprises, sep="\n", file=sys.stderr, flush=True)
    minutes = (time.monotonic() - started) / 60
    head = (
        f"`python scripts/damage.py --trials {given.trials} --seed {given.seed} "
        f"--jobs {given.jobs}`: {len(results)} trials on {len({r.file for r in results})} files, "
        f"{minutes:.0f} minutes."
    )
    lines = [head, "", *trials.table(results)]
    print("\n".join(lines))
    if given.write:
        _write(lines)
    return 0 if all(r.kept for r in results) else 1


def _write(lines: list[str]) -> None:
    head, found, rest = PAGE.read_text().partition(START)
    _, closed, tail = rest.partition(END)
    if not (found and closed):
        raise SystemExit(f"{PAGE} has no place for the figures: {START} ... {END}")
    PAGE.write_text("\n".join([head + START, "", *lines, "", END]) + tail)


if __name__ == "__main__":
    sys.exit(main())
