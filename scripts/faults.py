"""Faults in the smoke sweep: kills, full disks, damaged files, lost servers, two sweeps at once.

run: python scripts/faults.py [--trials 206] [--seed 0] [--jobs 2] [--kinds kill_child,full_disk]
     python scripts/faults.py --write     also writes the figures into docs/resume.md

Each trial injects one fault at a random moment, repeats the same command until it ends well, and
compares what is stored with an undisturbed sweep. Exit code 0 when every promise was kept. A
trial that broke one keeps its folder. tests/faults/ holds the trials; Linux only.
"""

import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import trial_options

from tests.faults import suite
from tests.faults.kinds import KINDS


def main() -> int:
    p = trial_options.parser(__doc__.splitlines()[0], 206, KINDS)
    p.add_argument("--deadline", type=float, default=300.0, help="seconds that no run may need")
    given = trial_options.parse(p, KINDS, "faults")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends servers and mounts as well
    started = time.monotonic()
    tasks = suite.chosen(given.trials, given.kinds)
    results = suite.run_suite(given.folder, tasks, given.seed, given.jobs, given.deadline, _say)
    minutes = (time.monotonic() - started) / 60
    runs = sum(r.runs for r in results)
    head = (
        f"{trial_options.command('faults', given)}: {len(results)} trials, {runs} sweeps started, "
        f"{minutes:.0f} minutes on {suite.machine()}."
    )
    trial_options.show(given, "faults", [head, "", *suite.table(results)])
    return 0 if all(r.kept for r in results) else 1


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
