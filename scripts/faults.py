"""Faults in the smoke sweep: kills, full disks, damaged files, lost servers, two sweeps at once.

run: python scripts/faults.py [--trials 200] [--seed 0] [--jobs 2] [--kinds kill_child,full_disk]
     python scripts/faults.py --write     also writes the figures into docs/resume.md

Each trial injects one fault at a random moment, repeats the same command until it ends well, and
compares what is stored with an undisturbed sweep. Exit code 0 when every promise was kept. A
trial that broke one keeps its folder. tests/faults/ holds the trials; Linux only.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults import suite  # noqa: E402
from tests.faults.kinds import KINDS  # noqa: E402

PAGE = ROOT / "docs" / "resume.md"
START, END = "<!-- faults -->", "<!-- /faults -->"


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--trials", type=int, default=200)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--jobs", type=int, default=2, help="trials at once")
    p.add_argument("--kinds", help=f"some of {', '.join(KINDS)}")
    p.add_argument("--folder", type=Path, help="where sweeps run; default: a temporary folder")
    p.add_argument("--deadline", type=float, default=300.0, help="seconds that no run may need")
    p.add_argument("--write", action="store_true", help="write the figures into docs/resume.md")
    given = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends servers and mounts as well
    kinds = given.kinds.split(",") if given.kinds else None
    unknown = set(kinds or ()) - set(KINDS)
    if unknown:
        p.error(f"unknown kinds {', '.join(sorted(unknown))}; choose from {', '.join(KINDS)}")
    folder = given.folder or Path(tempfile.mkdtemp(prefix="trustbench-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    tasks = suite.chosen(given.trials, kinds)
    results = suite.run_suite(folder, tasks, given.seed, given.jobs, given.deadline, _say)
    minutes = (time.monotonic() - started) / 60
    runs = sum(r.runs for r in results)
    options = "".join(
        [
            f" --trials {given.trials} --seed {given.seed} --jobs {given.jobs}",
            f" --kinds {given.kinds}" if given.kinds else "",
        ]
    )
    head = (
        f"`python scripts/faults.py{options}`: {len(results)} trials, {runs} sweeps started, "
        f"{minutes:.0f} minutes on {suite.machine()}."
    )
    lines = [head, "", *suite.table(results)]
    print("\n".join(lines))
    if given.write:
        _write(lines)
    return 0 if all(r.kept for r in results) else 1


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _write(lines: list[str]) -> None:
    head, found, rest = PAGE.read_text().partition(START)
    _, closed, tail = rest.partition(END)
    if not (found and closed):
        raise SystemExit(f"{PAGE} has no place for the figures: {START} ... {END}")
    PAGE.write_text("\n".join([head + START, "", *lines, "", END]) + tail)


if __name__ == "__main__":
    sys.exit(main())
