"""`trustbench select`: which measured arm serves a policy best, and how firm that choice is."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trustbench.commands.gate import find_policy
from trustbench.commands.parsing import add_config_dir, add_folder, existing_store, parser
from trustbench.commands.summarize import find_table
from trustbench.errors import UserError, did_you_mean
from trustbench.records import Store, Sweep, write_atomically
from trustbench.summary.decisions import Outcome, worst
from trustbench.summary.policy_risk import PolicyRisk, policy_risks
from trustbench.summary.render import select as people
from trustbench.summary.render import select_json
from trustbench.summary.select import Selection, select
from trustbench.summary.table import summarize

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
    add_folder(p)
    add_config_dir(p)
    p.add_argument("--experiment", metavar="NAME", help="choose among the arms of this sweep")
    p.add_argument("--format", default="terminal", help=", ".join(FORMATS))
    p.add_argument("--output", metavar="FILE", help="write to a file instead of printing")
    given = p.parse_args(args)
    if given.format not in FORMATS:
        raise UserError(f"unknown format {given.format!r}; {did_you_mean(given.format, FORMATS)}")
    policy = find_policy(given.policy, given.config_dir)
    table = find_table(policy.table, given.config_dir)
    store = existing_store(given.folder)
    sweep = chosen_sweep(store, given.experiment)
    records = [r for r in store.records() if sweep is None or r.id in set(sweep.arms)]
    evaluations = sweep.evaluations if sweep else None
    found = select(records, table, policy, evaluations)
    if not found:
        raise UserError("there is no record to choose from; run an experiment first.")
    risks = policy_risks(summarize(records, table, evaluations), policy)
    put(FORMATS[given.format](found, risks), given.output)
    return EXIT[worst(s.outcome for s in found)]


def chosen_sweep(store: Store, experiment: str | None) -> Sweep | None:
    """The manifest asked for, or the only one there is; None where there is none at all."""
    known = store.experiments()
    if experiment is None and len(known) > 1:
        raise UserError(
            f"{store.root} holds the sweeps of {', '.join(known)}; choose one with --experiment."
        )
    if experiment is not None and experiment not in known:
        raise UserError(
            f"no sweep of experiment {experiment!r} is stored; {did_you_mean(experiment, known)}"
        )
    return store.sweep(experiment or known[0]) if known else None


def put(content: str, output: str | None) -> None:
    """Prints a text, or writes it to a file; UserError when that cannot be written."""
    if output is None:
        print(content, end="")  # noqa: T201
        return
    try:
        write_atomically(Path(output).expanduser().absolute(), content.encode())
    except OSError as error:
        raise UserError(f"--output {output} cannot be written: {error}.") from error
