"""Audits of given models on a server: each record one run, and back."""

import hashlib
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from trustbench.contracts.shortening import shorten
from trustbench.errors import UserError
from trustbench.store.audits import AuditedMetric, AuditRecord, read_audit
from trustbench.store.provenance import git_tags, project
from trustbench.store.record_files import to_json
from trustbench.store.records import Store
from trustbench.summary.render import audit_text
from trustbench.tracking import artifacts, runs
from trustbench.tracking.dataset_input import DatasetInput, log_dataset
from trustbench.tracking.evaluation_tables import log_table
from trustbench.tracking.run_content import LONGEST, LONGEST_NOTE, Point, allowed_name
from trustbench.tracking.server import TrackingError, TrackingServer
from trustbench.tracking.upload import close_run, create_run, prepare

EXPERIMENT = "audits"
AUDIT = "tags.`trustbench.kind` = 'audit'"
CONTENT = "trustbench.content"
RECORD = "audit.json"
TABLE = "metrics.json"
HEAD = ("metric", "value", "low", "high", "rows", "unit", "on seen rows", "why not")


def log_audit(store: Store, uri: str | None, record: AuditRecord) -> str:
    """Uploads an audit as a run unless the server has it; returns the run's id.

    Raises:
        TrackingError: the server is unreachable or refuses.
    """
    prepare(store, uri, EXPERIMENT, sweep=False)
    server = TrackingServer(store, uri)
    where = runs.experiment_id(server, EXPERIMENT)
    wanted = f"{AUDIT} and {runs.WHOLE} and tags.`{CONTENT}` = '{content(record)}'"
    for run in runs.search(server, [where], wanted, page=1):
        return str(run.info.run_id)
    name = f"{record.model['name']} on {record.table.name}"
    made = create_run(server, where, name, _tags(record, name))
    _log_values(server, made, record)
    log_dataset(server, made, _dataset(record))
    log_table(server, made, TABLE, HEAD, list(_rows(record)))
    note = shorten(audit_text.markdown(record), LONGEST_NOTE, RECORD)
    server.call("set_tag", made, "mlflow.note.content", note)
    artifacts.of_run(server, made).put_text(RECORD, to_json(record))
    close_run(server, made, "FINISHED")
    return made


def logged_audits(store: Store, uri: str | None, records: Collection[AuditRecord]) -> set[str]:
    """The ids of those audits that the server has exactly as they are."""
    wanted = {content(r): r.id for r in records}
    if not wanted:
        return set()
    found = _runs(TrackingServer(store, uri))
    known = {run.data.tags.get(CONTENT) for run in found}
    return {ident for digest, ident in wanted.items() if digest in known}


def fetch_audits(store: Store, uri: str | None) -> list[AuditRecord]:
    """Downloads every audit of a server, the newest of each id.

    Raises:
        TrackingError: the server is unreachable, or a record differs from its tags.
    """
    server, found = TrackingServer(store, uri), dict[str, AuditRecord]()
    for run in _runs(server):
        tags = run.data.tags
        if tags["trustbench.audit_id"] in found:
            continue
        record = _download(server, run)
        if record is None or content(record) != tags[CONTENT]:
            raise TrackingError(
                f"run {run.info.run_id} of audit {tags['trustbench.audit_id']} cannot be used: "
                "its record is not the one that its tags describe."
            )
        found[record.id] = record
    return [found[ident] for ident in sorted(found)]


def content(record: AuditRecord) -> str:
    """A digest of the whole record."""
    return hashlib.sha256(record.model_dump_json().encode()).hexdigest()[:16]


def _runs(server: TrackingServer) -> list[Any]:
    where = runs.experiments(server)
    return list(runs.search(server, where, f"{AUDIT} and {runs.WHOLE}"))


def _download(server: TrackingServer, run: Any) -> AuditRecord | None:
    with tempfile.TemporaryDirectory() as folder:
        path = artifacts.of_run(server, run.info.run_id).get(RECORD, Path(folder))
        try:
            return read_audit(path)
        except UserError:
            return None  # the caller names the run


def _tags(record: AuditRecord, name: str) -> dict[str, str]:
    return {
        "trustbench.kind": "audit",
        "trustbench.audit_id": record.id,
        "trustbench.label": name,
        "trustbench.experiment": EXPERIMENT,
        CONTENT: content(record),
        "trustbench.version": str(record.environment.get("trustbench")),
        "trustbench.seen_rows": record.rows.how,
        **git_tags(project()),
    }


def _log_values(server: TrackingServer, run_id: str, record: AuditRecord) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    params = [Param(k, shorten(str(v), LONGEST, RECORD)) for k, v in _params(record).items()]
    metrics = [Metric(m.name, m.value, now, m.step) for m in _metrics(record)]
    for i in range(0, len(params), 100):
        server.call("log_batch", run_id, params=params[i : i + 100])
    for i in range(0, len(metrics), 1000):
        server.call("log_batch", run_id, metrics=metrics[i : i + 1000])


def _params(record: AuditRecord) -> dict[str, Any]:
    table = {"name": record.table.name, "target": record.table.target, "rows": record.table.rows}
    found = {
        **{f"model.{k}": v for k, v in record.model.items()},
        **{f"reference.{k}": v for k, v in (record.reference or {}).items()},
        **{f"table.{k}": v for k, v in table.items()},
        "table.sensitive": ", ".join(record.table.sensitive),
        **{f"rows.{k}": v for k, v in record.rows.model_dump().items()},
        "draws": record.draws,
        "seed": record.seed,
    }
    return {allowed_name(k): v for k, v in found.items()}


def _metrics(record: AuditRecord) -> Iterator[Point]:
    """Every number with its interval; those on seen rows and effects have names of their own."""
    for name, metric in record.metrics.items():
        if not metric.diagnostic:
            yield from _point(allowed_name(name), metric)
    for name, metric in record.on_seen.items():
        if not metric.diagnostic:
            yield Point(allowed_name(f"seen/{name}"), metric.number.value)
    for name, effect in record.effects.items():
        yield from _point(allowed_name(f"effect/{name}"), effect)


def _point(name: str, found: Any) -> Iterator[Point]:
    yield Point(name, found.number.value)
    yield Point(f"{name}.low", found.number.low)
    yield Point(f"{name}.high", found.number.high)


def _rows(record: AuditRecord) -> Iterator[list[Any]]:
    """One row for each metric: its number, or why it has none."""
    for name, m in record.metrics.items():
        seen: AuditedMetric | None = record.on_seen.get(name)
        on_seen = None if seen is None else seen.number.value
        number = m.number
        yield [name, number.value, number.low, number.high, m.n, m.unit, on_seen, None]
    for name, why in record.missing.items():
        yield [name, None, None, None, None, None, None, why]


def _dataset(record: AuditRecord) -> DatasetInput:
    table = record.table
    profile = {
        "rows": table.rows,
        "classes": table.classes,
        f"measured rows by {table.group_name}": table.group_sizes,
    }
    return DatasetInput(
        name=table.name,
        digest=table.digest,
        source=table.name,
        profile=profile,
        columns={},
        context="eval",
    )
