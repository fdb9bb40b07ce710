"""`trustbench doctor`: what this installation and this store are, and what needs attention."""

from collections.abc import Sequence
from pathlib import Path

from trustbench.api.tracking_health import findings
from trustbench.commands.parsing import Parser, add_store, parser
from trustbench.errors import UserError
from trustbench.store.records import Store


def main(args: Sequence[str]) -> int:
    """0 when nothing needs attention, else 1; each such line starts with `!`."""
    given = _parser().parse_args(args)
    if given.older_than is not None and not given.older_than >= 0:
        raise UserError(f"--older-than {given.older_than} is not an age; give hours, 0 or more.")
    said: list[str] = []
    store = Store(Path(given.folder).expanduser(), warn=said.append)
    wrong = 0
    for finding in findings(store, given.tracking_uri, given.reap, given.older_than, said):
        print(f"{'!' if finding.wrong else ' '} {finding.text}")  # noqa: T201
        wrong += finding.wrong
    print("nothing needs attention." if not wrong else f"{wrong} marked ! need attention.")  # noqa: T201
    return 1 if wrong else 0


def _parser() -> Parser:
    p = parser("doctor", "What this installation and store are, and what needs attention.")
    add_store(p)
    p.add_argument(
        "--reap", action="store_true", help="close the runs whose uploading process has died"
    )
    p.add_argument(
        "--older-than",
        metavar="HOURS",
        type=float,
        help="of other hosts, whose processes cannot be seen, take older runs for dead",
    )
    p.epilog = "exit code: 0 nothing needs attention, 1 something does (lines marked !), 2 usage"
    return p
