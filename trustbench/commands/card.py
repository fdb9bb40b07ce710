"""`trustbench card`: the model card of a record, from records only."""

from collections.abc import Sequence

from trustbench.api.cards import card_of
from trustbench.commands.output import put
from trustbench.commands.parsing import add_config_dir, add_evaluation, add_store, parser
from trustbench.commands.read_records import read


def main(args: Sequence[str]) -> int:
    """Returns 0 once the card is printed or written."""
    p = parser("card", "The model card of a record, as Markdown with front matter for model hubs.")
    called = "its label, its name in the sweep, or its record's id or how that begins"
    p.add_argument("--arm", metavar="ARM", required=True, help=called)
    add_store(p)
    add_config_dir(p)
    add_evaluation(p)
    p.add_argument("--experiment", metavar="NAME", help="read what this sweep measured only")
    p.add_argument("--table", metavar="NAME|FILE", help="default: the sweep's own")
    p.add_argument("--license", metavar="ID", help="of the model, say apache-2.0")
    p.add_argument("--output", metavar="FILE", help="write to a file instead of printing")
    given = p.parse_args(args)
    records = read(given, one_sweep=False)
    text = card_of(records, given.arm, given.table, given.config_dir, given.license)
    put(text, given.output)
    return 0
