"""`trustbench select`: which measured arm serves a policy best, and how firm that choice is."""

from collections.abc import Sequence

from trustbench.api.lookup import find_policy
from trustbench.api.selections import FORMATS, select
from trustbench.commands.output import put
from trustbench.commands.parsing import add_config_dir, add_evaluation, add_store, parser
from trustbench.commands.read_records import read
from trustbench.errors import UserError, did_you_mean


def main(args: Sequence[str]) -> int:
    """Returns 0 if an arm that passes the policy is chosen; 3 if none can be; 4 if it is unclear.

    With several data sets or models, the worst of them counts.
    """
    p = parser(
        "select",
        "Which measured arm serves a policy best: exit 0 an arm passes, 3 every arm violates the "
        "policy, 4 none is shown to pass.",
    )
    p.add_argument("--policy", metavar="NAME|FILE", required=True, help="trustbench list policies")
    add_store(p)
    add_config_dir(p)
    add_evaluation(p)
    p.add_argument("--experiment", metavar="NAME", help="choose among the arms of this sweep")
    p.add_argument("--format", default="terminal", help=", ".join(FORMATS))
    p.add_argument("--output", metavar="FILE", help="write to a file instead of printing")
    given = p.parse_args(args)
    if given.format not in FORMATS:
        raise UserError(f"unknown format {given.format!r}; {did_you_mean(given.format, FORMATS)}")
    policy = find_policy(given.policy, given.config_dir)
    selected = select(read(given), policy, config_dir=given.config_dir)
    put(selected.render(given.format), given.output, given.format)
    return selected.exit_code
