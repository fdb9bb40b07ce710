"""`trustbench card`: the model card of an arm or of an audited model, from records only."""

from collections.abc import Sequence

from trustbench.api.audit_records import card_of_audit
from trustbench.api.cards import card_of
from trustbench.commands.output import put
from trustbench.commands.parsing import (
    add_audit,
    add_config_dir,
    add_evaluation,
    add_store,
    parser,
)
from trustbench.commands.read_records import read, requested_audit
from trustbench.errors import UserError


def main(args: Sequence[str]) -> int:
    """Returns 0 once the card is printed or written."""
    p = parser("card", "The model card of an arm or an audit, as Markdown for model hubs.")
    called = "its label, its name in the sweep, or its record's id or the beginning of it"
    p.add_argument("--arm", metavar="ARM", help=called)
    add_audit(p)
    add_store(p)
    add_config_dir(p)
    add_evaluation(p)
    p.add_argument("--experiment", metavar="NAME", help="read what this sweep measured only")
    p.add_argument("--table", metavar="NAME|FILE", help="default: the sweep's own")
    p.add_argument("--license", metavar="ID", help="of the model, say apache-2.0")
    p.add_argument("--output", metavar="FILE", help="write to a file instead of printing")
    given = p.parse_args(args)
    audited = requested_audit(given, ("arm", "experiment", "evaluation"))
    if audited is not None:
        text = card_of_audit(audited, given.table, given.config_dir, given.license)
    elif given.arm is None:
        raise UserError("give --arm ARM for the card of an arm, or --audit RECORD for an audit's.")
    else:
        records = read(given, one_sweep=False)
        text = card_of(records, given.arm, given.table, given.config_dir, given.license)
    put(text, given.output)
    return 0
