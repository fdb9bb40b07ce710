"""`trustbench cell`: what one cell of the table measures, and its available numbers."""

from collections.abc import Sequence

from trustbench.api.cells import cell_of
from trustbench.api.lookup import DEFAULT_TABLE, find_table
from trustbench.commands.parsing import add_config_dir, add_store, parser


def main(args: Sequence[str]) -> int:
    """Returns 0 once the cell is printed."""
    p = parser("cell", "What a cell measures, its numbers here, and its references.")
    p.add_argument("source", help="the aspect whose method is applied: P or privacy")
    p.add_argument("target", help="the aspect measured: F or fairness")
    add_store(p)
    add_config_dir(p)
    p.add_argument("--table", metavar="NAME|FILE", default=DEFAULT_TABLE)
    given = p.parse_args(args)
    table = find_table(given.table, given.config_dir)
    text = cell_of(table, given.source, given.target, given.folder, given.tracking_uri)
    print(text)  # noqa: T201
    return 0
