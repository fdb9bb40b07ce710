"""`trustbench check-plugin`: whether a plugin keeps its contract, check by check."""

import os
from collections.abc import Sequence

from trustbench.api.checks.check import check_plugin, find_plugin
from trustbench.commands.parsing import add_config_dir, parser
from trustbench.config.compose import conf_dirs
from trustbench.config.plugins import CONTRACTS
from trustbench.errors import printable


def main(args: Sequence[str]) -> int:
    """Returns 0 if every check passes, 2 if one fails."""
    p = parser("check-plugin", "Whether a plugin keeps the contract of its kind: exit 0, else 2.")
    p.add_argument("plugin", metavar="NAME|module:Class", help="an option, or an importable class")
    p.add_argument("--kind", choices=CONTRACTS, help="needed where several kinds have the name")
    default = os.environ.get("TRUSTBENCH_DATA", "data")
    p.add_argument("--data-dir", metavar="DIR", default=default, help=f"default {default}")
    p.add_argument("--plugins", metavar="MODULE", nargs="*", default=[], help="as the key plugins")
    add_config_dir(p)
    given = p.parse_args(args)
    found = find_plugin(given.plugin, given.kind, conf_dirs(given.config_dir), given.plugins)
    print(f"{found.kind} {printable(found.name)}")  # noqa: T201
    failed = 0
    for finding in check_plugin(found.plugin, given.data_dir):
        print(printable(finding.line()))  # noqa: T201
        failed += finding.problem is not None
    print(f"{failed} checks failed." if failed else "every check passed.")  # noqa: T201
    return 2 if failed else 0
