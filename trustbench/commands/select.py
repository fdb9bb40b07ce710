"""`trustbench select`: which measured arm serves a policy best, and how firm that choice is."""

from collections.abc import Callable, Mapping, Sequence

from trustbench.commands.lookup import find_policy, find_table
from trustbench.commands.output import put
from trustbench.commands.parsing import add_config_dir, add_evaluation, add_store, parser
from trustbench.commands.read_records import read
from trustbench.errors import UserError, did_you_mean
from trustbench.summary.decide import select_json
from trustbench.summary.decide import select_text as people
from trustbench.summary.decide.decisions import Outcome, worst
from trustbench.summary.decide.policy_risk import PolicyRisk, policy_risks
from trustbench.summary.decide.select import Selection, select
from trustbench.summary.table.table import summarize

FORMATS: Mapping[str, Callable[[Sequence[Selection], Sequence[PolicyRisk]], str]] = {
    "terminal": people.terminal,
    "md": people.markdown,
    "json": select_json.text,
}
EXIT = {Outcome.PASS: 0, Outcome.VIOLATED: 3, Outcome.INCONCLUSIVE: 4}


def main(args: Sequence[str]) -> int:
    """0 when an arm that passes the policy is chosen; 3 when none can be; 4 when it is unclear.

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
    table = find_table(policy.table, given.config_dir)
    stored = read(given)
    found = select(stored.arms, table, policy, stored.evaluations)
    if not found:
        raise UserError("there is no record to choose from; run an experiment first.")
    risks = policy_risks(summarize(stored.arms, table, stored.evaluations), policy)
    put(FORMATS[given.format](found, risks), given.output)
    return EXIT[worst(s.outcome for s in found)]
