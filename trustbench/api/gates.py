"""Decides whether a change keeps a policy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from trustbench.api.lookup import find_policy, find_table
from trustbench.api.records import Records
from trustbench.api.tables import evaluations_to_read
from trustbench.errors import UserError, did_you_mean
from trustbench.store.record_files import find_record
from trustbench.store.records import Record
from trustbench.summary.decide import gate_json, gate_junit, gate_markdown, gate_terminal
from trustbench.summary.decide.decisions import Outcome
from trustbench.summary.decide.gate import Gate, gate_pair, gate_sweep, only
from trustbench.summary.decide.policy import Policy
from trustbench.summary.table.arm_names import arm_names

if TYPE_CHECKING:
    import pandas as pd

FORMATS: Mapping[str, Callable[[Gate], str]] = {
    "terminal": gate_terminal.text,
    "junit": gate_junit.text,
    "md": gate_markdown.text,
    "json": gate_json.text,
}
EXIT = {Outcome.PASS: 0, Outcome.VIOLATED: 3, Outcome.INCONCLUSIVE: 4}
"""The exit code of each outcome of a policy."""


@dataclass(frozen=True)
class Gated:
    """A policy's decisions on every candidate; `print(gated)` shows them as on the terminal."""

    gate: Gate

    @property
    def outcome(self) -> Outcome:
        """Violated if any candidate is, else inconclusive if any is, else pass."""
        return self.gate.outcome

    @property
    def exit_code(self) -> int:
        """0 pass, 3 violated, 4 inconclusive."""
        return EXIT[self.outcome]

    @cached_property
    def decisions(self) -> "pd.DataFrame":
        """One row for each decided bound or verdict of every candidate."""
        import pandas as pd

        rows = [
            {**{k: c[k] for k in _OF_CANDIDATE}, **decision}
            for c in gate_json.document(self.gate)["candidates"]
            for decision in c["decisions"]
        ]
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=[*_OF_CANDIDATE, "outcome"])

    def render(self, format: str) -> str:
        """Renders the gate as `terminal`, `junit`, `md` or `json` text."""
        if format not in FORMATS:
            raise UserError(f"unknown format {format!r}; {did_you_mean(format, FORMATS)}")
        return FORMATS[format](self.gate)

    def __str__(self) -> str:
        return self.render("terminal")


_OF_CANDIDATE = ("dataset", "model", "variant", "arm", "dose")


def gate(
    records: Sequence[Record],
    policy: str | Path | Policy = "default",
    *,
    baseline: Sequence[Record] | None = None,
    arms: Sequence[str] = (),
    config_dir: str | Path | None = None,
) -> Gated:
    """Decides whether the arms among the records keep a policy.

    `records` are those of a sweep; every treated arm is a candidate, and `arms` restricts them to
    these labels or names in the sweep. With `baseline`, `records` is one candidate compared with
    it, each one record or one per regime and seed. `policy` names a policy or a YAML file.

    Raises:
        UserError: unknown policy, records that cannot be compared, or no treated arm among them.

    >>> from trustbench.api.runs import run
    >>> arms = {"intervention": "none,dpsgd", "evaluator": ["utility", "fairness"]}
    >>> small = {"protocol.replicates": 4, "hydra/launcher": "basic"}
    >>> records = run(arms, small, multirun=True, output_dir="outputs")
    >>> gated = gate(records, "default")
    >>> gated.outcome.value, gated.exit_code
    ('violated', 3)
    """
    chosen = policy if isinstance(policy, Policy) else find_policy(policy, config_dir)
    table = find_table(chosen.table, config_dir, (*records, *(baseline or ())))
    every = {r.id: r for r in (records.every if isinstance(records, Records) else records)}
    if baseline is not None:
        found = gate_pair(list(baseline), list(records), table, chosen, every)
    else:
        found = gate_sweep(list(records), table, chosen, evaluations_to_read(records), every)
    if arms:
        names = records.names if isinstance(records, Records) else arm_names(records, [])
        found = only(found, arms, names)
    return Gated(found)


def gate_named(
    candidate: Sequence[str],
    baseline: Sequence[str],
    policy: Policy,
    stored: Callable[[], Mapping[str, Record]],
    *,
    config_dir: str | Path | None = None,
) -> Gated:
    """Does the same for named records: by their files, or by their ids in `stored`.

    `stored` is called only if an id is given, here or in a limit of the policy.

    Raises:
        UserError: no such record, or records that cannot be compared.
    """
    ids = [x.record for x in policy.limits if x.record]
    ids += [n for n in (*baseline, *candidate) if not _file(n)]
    known = stored() if ids else {}
    sides = [[_record(n, known) for n in names] for names in (baseline, candidate)]
    table = find_table(policy.table, config_dir, [r for side in sides for r in side])
    return Gated(gate_pair(sides[0], sides[1], table, policy, known))


def _file(name: str) -> bool:
    """Whether a RECORD is a path rather than an id."""
    return name.endswith(".json") or "/" in name


def _record(name: str, stored: Mapping[str, Record]) -> Record:
    """Returns the record of a path or an id."""
    if not _file(name):
        if name not in stored:
            raise UserError(f"no record {name!r} is stored; {did_you_mean(name, stored)}")
        return stored[name]
    found = find_record(Path(name).expanduser())
    if found is None:
        raise UserError(f"record {name} is not a file; give a record.json, or the id of a record.")
    return found
