"""The options of scripts that run trials and write their figures into docs/resume.md."""

import argparse
import tempfile
from pathlib import Path

from marked_part import put

PAGE = Path(__file__).resolve().parents[1] / "docs" / "resume.md"


def parser(about, trials, kinds):
    p = argparse.ArgumentParser(description=about)
    p.add_argument("--trials", type=int, default=trials)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--jobs", type=int, default=2, help="trials at once")
    p.add_argument("--kinds", help=f"some of {', '.join(kinds)}")
    p.add_argument("--folder", type=Path, help="where trials run; default: a temporary folder")
    p.add_argument("--write", action="store_true", help="write the figures into docs/resume.md")
    return p


def parse(p, kinds, what):
    """The options; `kinds` becomes a list or None, and `folder` exists."""
    given = p.parse_args()
    given.kinds = given.kinds.split(",") if given.kinds else None
    unknown = set(given.kinds or ()) - set(kinds)
    if unknown:
        p.error(f"unknown kinds {', '.join(sorted(unknown))}; choose from {', '.join(kinds)}")
    given.folder = given.folder or Path(tempfile.mkdtemp(prefix=f"trustbench-{what}-"))
    given.folder.mkdir(parents=True, exist_ok=True)
    return given


def command(script, given):
    """How to run these trials again."""
    kinds = f" --kinds {','.join(given.kinds)}" if given.kinds else ""
    options = f"--trials {given.trials} --seed {given.seed} --jobs {given.jobs}{kinds}"
    return f"`python scripts/{script}.py {options}`"


def show(given, what, lines):
    """Prints the figures, and writes them into the page if asked to."""
    print("\n".join(lines))
    if given.write:
        put(PAGE, f"<!-- {what} -->", f"<!-- /{what} -->", ["", *lines, ""])
