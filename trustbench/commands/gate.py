"""`trustbench gate`: whether a change keeps a policy, as an exit code and in words."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from trustbench.api.audit_records import gate_stored
from trustbench.api.gates import FORMATS, Gated, gate, gate_named
from trustbench.api.lookup import find_policy
from trustbench.commands.output import put
from trustbench.commands.parsing import (
    add_audit,
    add_config_dir,
    add_evaluation,
    add_store,
    parser,
)
from trustbench.commands.read_records import read, read_every, requested_audit
from trustbench.errors import UserError, did_you_mean
from trustbench.summary.decide.policy import Policy


def main(args: Sequence[str]) -> int:
    """Returns 0 pass, 3 violated, 4 inconclusive."""
    given = _parser().parse_args(args)
    formats = _formats(given)
    policy = find_policy(given.policy, given.config_dir)
    gated = _gated(given, policy)
    for format, output in zip(formats, given.output, strict=False):
        _write(gated.render(format), output)
    # a file is for a machine: people still read the decision, in the log
    shown = "terminal" if given.output else formats[0]
    put(gated.render(shown), None, shown)
    return gated.exit_code


def _parser() -> argparse.ArgumentParser:
    p = parser("gate", "Whether a change keeps a policy: exit 0 pass, 3 violated, 4 inconclusive.")
    p.add_argument("--policy", metavar="NAME|FILE", required=True, help="trustbench list policies")
    add_store(p)
    add_config_dir(p)
    add_evaluation(p)
    p.add_argument("--experiment", metavar="NAME", help="gate the arms of this sweep")
    p.add_argument(
        "--arm",
        metavar="ARM",
        action="append",
        default=[],
        help="only this arm, by its label or its name in the sweep; repeatable",
    )
    record = "a record id or a record.json; one for each regime and seed"
    p.add_argument("--baseline", metavar="RECORD", nargs="+", help=record)
    p.add_argument("--candidate", metavar="RECORD", nargs="+", help=record)
    add_audit(p)
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
    """The requested formats, one for each output."""
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


def _gated(given: argparse.Namespace, policy: Policy) -> Gated:
    audited = requested_audit(given, ("baseline", "candidate", "experiment", "arm", "evaluation"))
    if audited is not None:
        return gate_stored(audited, policy, given.config_dir)
    if not (given.baseline or given.candidate):
        return gate(read(given), policy, arms=given.arm, config_dir=given.config_dir)
    if not (given.baseline and given.candidate):
        raise UserError("--baseline and --candidate go together; give both, or neither.")
    if given.experiment or given.arm:
        raise UserError("--experiment and --arm choose in a sweep; leave them out with records.")
    return gate_named(
        given.candidate,
        given.baseline,
        policy,
        lambda: read_every(given),
        config_dir=given.config_dir,
    )


def _write(content: str, output: str) -> None:
    """Writes into the file itself, since a CI system may hold it open or own its permissions."""
    path = Path(output).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {output} cannot be written: {error}.") from error
