"""`trustbench gate`: whether a change keeps a policy, as an exit code and in words."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trustbench.commands.lookup import find_policy, find_table
from trustbench.commands.parsing import add_config_dir, add_evaluation, add_store, parser
from trustbench.commands.read_records import every_record, read
from trustbench.errors import UserError, did_you_mean
from trustbench.store.records import Record, read_record
from trustbench.summary.decide import gate_json, gate_junit, gate_markdown, gate_terminal
from trustbench.summary.decide.decisions import Outcome
from trustbench.summary.decide.gate import Gate, gate_pair, gate_sweep, only
from trustbench.summary.decide.policy import Policy

FORMATS: Mapping[str, Callable[[Gate], str]] = {
    "terminal": gate_terminal.text,
    "junit": gate_junit.text,
    "md": gate_markdown.text,
    "json": gate_json.text,
}
EXIT = {Outcome.PASS: 0, Outcome.VIOLATED: 3, Outcome.INCONCLUSIVE: 4}


def main(args: Sequence[str]) -> int:
    """0 pass, 3 violated, 4 inconclusive."""
    given = _parser().parse_args(args)
    formats = _formats(given)
    policy = find_policy(given.policy, given.config_dir)
    by_record = given.baseline or given.candidate
    gate = _pair(given, policy) if by_record else _sweep(given, policy)
    if given.arm:
        gate = only(gate, given.arm)
    for format, output in zip(formats, given.output, strict=False):
        _write(FORMATS[format](gate), output)
    # a file is for a machine: people still read the decision, in the log
    sys.stdout.write(FORMATS["terminal" if given.output else formats[0]](gate))
    return EXIT[gate.outcome]


def _parser() -> argparse.ArgumentParser:
    p = parser("gate", "Whether a change keeps a policy: exit 0 pass, 3 violated, 4 inconclusive.")
    p.add_argument("--policy", metavar="NAME|FILE", required=True, help="trustbench list policies")
    add_store(p)
    add_config_dir(p)
    add_evaluation(p)
    p.add_argument("--experiment", metavar="NAME", help="gate the arms of this sweep")
    p.add_argument("--arm", metavar="LABEL", action="append", help="only this arm; repeatable")
    record = "a record id or a record.json; one for each regime and seed"
    p.add_argument("--baseline", metavar="RECORD", nargs="+", help=record)
    p.add_argument("--candidate", metavar="RECORD", nargs="+", help=record)
    p.add_argument(
        "--format", metavar="FORMAT", action="append", default=[], help=", ".join(FORMATS)
    )
    p.add_argument(
        "--output",
        metavar="FILE",
        action="append",
        default=[],
        help="write to a file; repeat with --format, in the same order, for several",
    )
    return p


def _formats(given: argparse.Namespace) -> list[str]:
    """The formats asked for; one for each output."""
    for name in given.format:
        if name not in FORMATS:
            raise UserError(f"unknown format {name!r}; {did_you_mean(name, FORMATS)}")
    formats = given.format or ["terminal"]
    if len(formats) != max(len(given.output), 1):
        raise UserError(
            f"{len(formats)} --format and {len(given.output)} --output were given; give one "
            "--output for each --format, or a single --format to print."
        )
    return formats


def _pair(given: argparse.Namespace, policy: Policy) -> Gate:
    if not (given.baseline and given.candidate):
        raise UserError("--baseline and --candidate go together; give both, or neither.")
    if given.experiment or given.arm:
        raise UserError("--experiment and --arm choose in a sweep; leave them out with records.")
    named = [*given.baseline, *given.candidate]
    ids = [x.record for x in policy.limits if x.record] + [n for n in named if not _file(n)]
    stored = {r.id: r for r in every_record(given)} if ids else {}
    table = find_table(policy.table, given.config_dir)
    sides = [[_record(n, stored) for n in names] for names in (given.baseline, given.candidate)]
    return gate_pair(sides[0], sides[1], table, policy, stored)


def _sweep(given: argparse.Namespace, policy: Policy) -> Gate:
    stored = read(given)
    table = find_table(policy.table, given.config_dir)
    every = {r.id: r for r in stored.records}
    return gate_sweep(stored.arms, table, policy, stored.evaluations, every)


def _file(name: str) -> bool:
    """Whether a RECORD is a path and not an id."""
    return name.endswith(".json") or "/" in name


def _record(name: str, stored: Mapping[str, Record]) -> Record:
    """The record of a path or an id."""
    if not _file(name):
        if name not in stored:
            raise UserError(f"no record {name!r} is stored; {did_you_mean(name, stored)}")
        return stored[name]
    path = Path(name).expanduser()
    if not path.is_file():
        raise UserError(f"record {name} is not a file; give a record.json, or the id of a record.")
    return read_record(path)


def _write(content: str, output: str) -> None:
    """Writes into the file itself, as a CI system may hold it open or own its permissions."""
    path = Path(output).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {output} cannot be written: {error}.") from error
