"""The records that a command is given."""

import argparse
from collections.abc import Sequence

from trustbench.api.audit_records import load_audit
from trustbench.api.records import Records, every_record, read_records
from trustbench.errors import UserError
from trustbench.store.audits import AuditRecord
from trustbench.store.records import Record


def read(given: argparse.Namespace, *, one_sweep: bool = True) -> Records:
    """What --from or --tracking-uri holds, and the sweep that --experiment names."""
    return read_records(
        given.folder,
        given.experiment,
        tracking_uri=given.tracking_uri,
        evaluations=vars(given).get("evaluation", ()),
        one_sweep=one_sweep,
    )


def read_every(given: argparse.Namespace) -> dict[str, Record]:
    """Every record there, by id (of --experiment alone on a server, if given)."""
    found = every_record(given.folder, given.tracking_uri, given.experiment)
    return {r.id: r for r in found}


def requested_audit(given: argparse.Namespace, others: Sequence[str]) -> AuditRecord | None:
    """The audit that --audit names, or None.

    Raises:
        UserError: the audit is not found, or one of the flags `others` asks for arms as well.
    """
    if given.audit is None:
        return None
    _refuse_others(given, others)
    return load_audit(given.audit, given.folder, tracking_uri=given.tracking_uri)


def requested_audits(given: argparse.Namespace, others: Sequence[str]) -> list[AuditRecord]:
    """The audits that --audit names, in that order; raises as `requested_audit`."""
    named: list[str] = given.audit or []
    if named:
        _refuse_others(given, others)
    return [load_audit(n, given.folder, tracking_uri=given.tracking_uri) for n in named]


def _refuse_others(given: argparse.Namespace, others: Sequence[str]) -> None:
    for flag in others:
        if vars(given)[flag.replace("-", "_")]:
            raise UserError(f"--audit reads an audit and --{flag} reads arms; give one of them.")
