"""Selects the measured arm that serves a policy best, and says how firm that choice is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trustbench.api.gates import EXIT
from trustbench.api.lookup import find_policy, find_table
from trustbench.api.tables import evaluations_to_read
from trustbench.errors import UserError, did_you_mean
from trustbench.store.records import Record
from trustbench.summary.decide import select as selecting
from trustbench.summary.decide import select_json
from trustbench.summary.decide import select_text as people
from trustbench.summary.decide.decisions import Outcome, worst
from trustbench.summary.decide.policy import Policy
from trustbench.summary.decide.policy_risk import PolicyRisk, policy_risks
from trustbench.summary.decide.select import Selection
from trustbench.summary.table.table import summarize

FORMATS: Mapping[str, Callable[[Sequence[Selection], Sequence[PolicyRisk]], str]] = {
    "terminal": people.terminal,
    "md": people.markdown,
    "json": select_json.text,
}


@dataclass(frozen=True)
class Selected:
    """The choice for each data set and model; `print(selected)` shows it as a terminal does."""

    selections: tuple[Selection, ...]
    risks: tuple[PolicyRisk, ...]

    @property
    def outcome(self) -> Outcome:
        """The outcome for the data set and model that serve the policy worst."""
        return worst(s.outcome for s in self.selections)

    @property
    def exit_code(self) -> int:
        """0 an arm passes, 3 every arm violates the policy, 4 none is shown to pass."""
        return EXIT[self.outcome]

    def render(self, format: str) -> str:
        """Renders the choice as `terminal`, `md` or `json` text."""
        if format not in FORMATS:
            raise UserError(f"unknown format {format!r}; {did_you_mean(format, FORMATS)}")
        return FORMATS[format](self.selections, self.risks)

    def __str__(self) -> str:
        return self.render("terminal")


def select(
    records: Sequence[Record],
    policy: str | Path | Policy = "default",
    *,
    config_dir: str | Path | None = None,
) -> Selected:
    """Selects the measured arm that serves a policy best.

    Raises:
        UserError: unknown policy, records that cannot be compared, or no records.

    >>> from trustbench.api.runs import run
    >>> arms = {"intervention": "none,dpsgd", "evaluator": ["utility", "fairness"]}
    >>> small = {"protocol.replicates": 4, "hydra/launcher": "basic"}
    >>> records = run(arms, small, multirun=True, output_dir="outputs")
    >>> select(records, "default").exit_code
    4
    """
    chosen = policy if isinstance(policy, Policy) else find_policy(policy, config_dir)
    table, asked = find_table(chosen.table, config_dir, records), evaluations_to_read(records)
    found = selecting.select(list(records), table, chosen, asked)
    if not found:
        raise UserError("there is no record to choose from; run an experiment first.")
    risks = policy_risks(summarize(list(records), table, asked), chosen)
    return Selected(tuple(found), tuple(risks))
