"""Audits that are stored: found by id or file, uploaded, gated, and written as a report or card."""

from collections.abc import Sequence
from pathlib import Path

from trustbench import errors, tracking
from trustbench.api.gates import Gated
from trustbench.api.lookup import DEFAULT_TABLE, find_policy, find_table
from trustbench.api.records import existing_store
from trustbench.api.reports import write_file
from trustbench.errors import UserError
from trustbench.store.audits import AuditRecord, audits, find_audit, read_audit
from trustbench.store.records import Store
from trustbench.summary.cards import audit_card
from trustbench.summary.decide.audit_gate import gate_audit
from trustbench.summary.decide.policy import Policy
from trustbench.summary.report import audit_document, audits_document


def load_audit(
    name: str | Path, folder: str | Path | None = None, *, tracking_uri: str | None = None
) -> AuditRecord:
    """Loads the record of an audit.

    Args:
        name: the file `audit.json`, or an id or its beginning.
        folder: the `output_dir` of the audit; needed for an id.
        tracking_uri: a server that has the audit, in place of the folder.

    Raises:
        UserError: no id of an audit begins with it, or several do.
        TrackingError: the server is unreachable.
    """
    path = Path(name).expanduser()
    if path.suffix == ".json" or "/" in str(name):
        if not path.is_file():
            raise UserError(f"audit {name} is not a file; give an audit.json, or an audit's id.")
        return read_audit(path)
    if tracking_uri:
        store = Store(Path(folder or ".").expanduser())
        return find_audit(str(name), tracking.fetch_audits(store, tracking_uri))
    if folder is None:
        raise UserError(f"audit {name} is an id; name the folder that holds it as well.")
    return find_audit(str(name), audits(existing_store(folder).root))


def gate_stored(
    record: AuditRecord, policy: str | Path | Policy, config_dir: str | Path | None = None
) -> Gated:
    """A policy's decisions on an audited model.

    Raises:
        UserError: an unknown policy, or one that an audit cannot decide.
    """
    chosen = policy if isinstance(policy, Policy) else find_policy(policy, config_dir)
    return Gated(gate_audit(record, find_table(chosen.table, config_dir), chosen))


def report_audit(
    record: AuditRecord,
    path: str | Path = "report.html",
    *,
    policy: str | Path | Policy | None = None,
    config_dir: str | Path | None = None,
) -> Path:
    """Writes one self-contained HTML file about an audit; returns its path.

    Raises:
        UserError: an unknown policy, or a file that cannot be written.
    """
    gated = None if policy is None else gate_stored(record, policy, config_dir)
    text = audit_document(record, None if gated is None else gated.gate)
    return write_file(text.encode(), path)


def report_audits(records: Sequence[AuditRecord], path: str | Path = "report.html") -> Path:
    """Writes one self-contained HTML file about several audits side by side; returns its path.

    Raises:
        UserError: a file that cannot be written.
    """
    return write_file(audits_document(records).encode(), path)


def card_of_audit(
    record: AuditRecord,
    table: str | Path | None = None,
    config_dir: str | Path | None = None,
    licence: str | None = None,
) -> str:
    """Returns the model card of an audited model, as Markdown with front matter.

    `table` names the metrics of each aspect. Raises UserError for an unknown one.
    """
    registered = find_table(table or DEFAULT_TABLE, config_dir)
    return audit_card.audit_card(record, registered, licence)


def upload_audit(folder: str | Path, tracking_uri: str, record: AuditRecord) -> None:
    """Uploads an audit; a server that fails is reported as a warning, since the file is written."""
    try:
        tracking.log_audit(Store(Path(folder).expanduser()), tracking_uri, record)
    except tracking.TrackingError as error:
        errors.warn(f"{error} The audit is kept; `trustbench sync` uploads it later.")
