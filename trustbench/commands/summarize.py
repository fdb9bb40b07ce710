"""`trustbench summarize`: the table of stored records."""

from collections.abc import Sequence

from trustbench.api.tables import table
from trustbench.commands.output import put
from trustbench.commands.parsing import add_config_dir, add_evaluation, add_store, parser
from trustbench.commands.read_records import read
from trustbench.errors import UserError, did_you_mean
from trustbench.summary.render import FORMATS


def main(args: Sequence[str]) -> int:
    """Returns 0 once the table is printed or written."""
    p = parser("summarize", "The table of stored records.")
    add_store(p)
    add_config_dir(p)
    add_evaluation(p)
    p.add_argument("--experiment", metavar="NAME", help="read this experiment's last sweep only")
    p.add_argument("--table", metavar="NAME|FILE", help="default: the sweep's own")
    p.add_argument("--format", default="terminal", help=", ".join(FORMATS))
    p.add_argument("--output", metavar="FILE", help="write to a file instead of printing")
    given = p.parse_args(args)
    if given.format not in FORMATS:
        raise UserError(f"unknown format {given.format!r}; {did_you_mean(given.format, FORMATS)}")
    tables = table(read(given), given.table, config_dir=given.config_dir)
    put(tables.render(given.format), given.output, given.format)
    return 0
