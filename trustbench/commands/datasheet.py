"""`trustbench datasheet`: the datasheet of a data set, from stored records only."""

from collections.abc import Sequence

from trustbench.api.cards import datasheet_of
from trustbench.commands.output import put
from trustbench.commands.parsing import add_config_dir, add_store, parser
from trustbench.commands.read_records import read


def main(args: Sequence[str]) -> int:
    """Returns 0 once the datasheet is printed or written."""
    p = parser(
        "datasheet",
        "The datasheet of a data set, as Markdown with front matter for data hubs (Gebru et al. "
        "2021): what stored records know of it, and what was measured on it.",
    )
    p.add_argument("--dataset", metavar="NAME", help="needed where records are of several")
    add_store(p)
    add_config_dir(p)
    p.add_argument("--experiment", metavar="NAME", help="read the records of this sweep only")
    p.add_argument("--table", metavar="NAME|FILE", help="default: the sweep's own")
    p.add_argument("--output", metavar="FILE", help="write to a file instead of printing")
    given = p.parse_args(args)
    records = read(given, one_sweep=False)
    alone = given.experiment is not None
    text = datasheet_of(records, given.dataset, given.table, given.config_dir, of_sweep=alone)
    put(text, given.output)
    return 0
