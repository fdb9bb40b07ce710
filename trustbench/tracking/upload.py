"""Uploads records and sweeps: each content once, and never a part that looks complete."""

import hashlib
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from trustbench import __version__
from trustbench.contracts.metrics import DeclaredMetrics
from trustbench.contracts.shortening import shorten
from trustbench.store import addresses
from trustbench.store.files import write_own
from trustbench.store.labels import label as label_alone
from trustbench.store.provenance import git_tags, project
from trustbench.store.reading import Damaged, read_bytes
from trustbench.store.record_files import to_json
from trustbench.store.records import Record, Store, Sweep
from trustbench.summary.render import markdown
from trustbench.summary.table.results import TableResult
from trustbench.tracking import artifacts, metric_notes, owner, runs
from trustbench.tracking import run_content as tracked
from trustbench.tracking.database import make_database
from trustbench.tracking.dataset_input import DatasetInput, log_dataset
from trustbench.tracking.evaluation_tables import GROUP_HEAD, GROUPS, group_rows, log_table
from trustbench.tracking.server import TrackingError, TrackingServer, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient

_FINISHED = ("ok", "unsupported")
UPLOAD = "trustbench.upload"
DESCRIPTION = "mlflow.note.content"
"""The tag that MLflow shows as the description of a run."""


def prepare(store: Store, uri: str | None, experiment: str, *, sweep: bool = True) -> str | None:
    """Creates the database and the experiment before workers start; returns the sweep's run id.

    Processes that race to create a database corrupt it, so only the parent does it. All sweeps of
    an experiment share one run, which holds the manifest of the last sweep; returns None without
    `sweep`.

    Raises:
        TrackingError: the server is unreachable.
    """
    server = TrackingServer(store, uri)
    file = addresses.file_of(server.address)
    if file is not None:
        make_database(store, file)
    where = runs.experiment_id(server, experiment)
    if not sweep:
        return None
    for run in runs.search(server, [where], runs.SWEEP, page=1):
        return str(run.info.run_id)
    tags = {
        "trustbench.kind": "sweep",
        "trustbench.experiment": experiment,
        "trustbench.version": __version__,
        **git_tags(project()),
    }
    made = create_run(server, where, experiment, tags)
    # A sweep may be killed at any moment; its run only groups others and is never "running".
    close_run(server, made, "FINISHED")
    return made


def log_record(
    store: Store,
    uri: str | None,
    experiment: str,
    record: Record,
    parent: str | None = None,
    label: str | None = None,
    declared: DeclaredMetrics = MappingProxyType({}),
) -> str:
    """Uploads a finished record as a new run unless the experiment has it; returns its run id.

    `label` names the run: what the arm is called in its sweep (None: what it is called alone).
    `declared` is what evaluators declare of their metrics, which the run's description explains.

    Raises:
        TrackingError: the server is unreachable or refuses.
    """
    server = TrackingServer(store, uri, patient=True)
    where = runs.experiment_id(server, experiment)
    with owner.sole_uploader(store, record.id):
        found = _whole_run(server, where, record)
        if found is None:
            name = label or label_alone(record.arm)
            tags = {**tracked.tags(record, experiment, name), **git_tags(record.environment)}
            meanings = metric_notes.of_record(record, declared)
            if meanings:
                whole = "`trustbench list metrics`"
                tags[DESCRIPTION] = shorten(meanings, tracked.LONGEST_NOTE, whole)
            if parent:
                tags["mlflow.parentRunId"] = parent
            ended = _finished_at(store, record)
            started = ended - int(1000 * record.seconds)
            found = create_run(server, where, name, tags, started)
            _log_values(server, found, record)
            if record.problem is not None:
                log_dataset(server, found, dataset_of(record))
                groups = group_rows(record, store.arrays(record.id))
                log_table(server, found, GROUPS, GROUP_HEAD, groups)
            _log_files(server, found, record)
            close_run(server, found, "FINISHED" if record.status in _FINISHED else "FAILED", ended)
        remember(store, uri, record)
    return found


def log_sweep(
    store: Store,
    uri: str | None,
    parent: str,
    sweep: Sweep,
    tables: Sequence[Path],
    results: Sequence[TableResult] = (),
) -> None:
    """Uploads a sweep's manifest and rendered tables to its run.

    Every effect of `results` becomes a metric of the run, and the tables its description.
    """
    server = TrackingServer(store, uri)
    if results:
        _log_effects(server, parent, results)
    _log_file(server, parent, store.sweep_file(sweep.experiment), "sweep")
    for path in tables:
        _log_file(server, parent, path, "tables")
    close_run(server, parent, "FINISHED")
    if tables:
        write_own(
            store.tracked_sweep_file(sweep.experiment), _sweep_memory(store, uri, sweep, tables)
        )


def _log_effects(server: TrackingServer, run_id: str, results: Sequence[TableResult]) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [Metric(m.name, m.value, now, m.step) for m in tracked.effects(results)]
    for i in range(0, len(metrics), 1000):
        server.call("log_batch", run_id, metrics=metrics[i : i + 1000])
    notes = metric_notes.of_results(results)
    said = "\n".join([markdown.compact(results), notes, markdown.text(results)])
    text = shorten(said, tracked.LONGEST_NOTE, "tables")
    server.call("set_tag", run_id, DESCRIPTION, text)


def sweep_uploaded(store: Store, uri: str | None, sweep: Sweep, tables: Sequence[Path]) -> bool:
    """Whether the server is known to have exactly this manifest and these tables."""
    path = store.tracked_sweep_file(sweep.experiment)
    return _remembers(path, _sweep_memory(store, uri, sweep, tables))


def _sweep_memory(store: Store, uri: str | None, sweep: Sweep, tables: Sequence[Path]) -> bytes:
    h = hashlib.sha256(sweep.model_dump_json().encode())
    for path in sorted(tables):
        h.update(f"\n{path.name}\n".encode() + path.read_bytes())
    return f"{h.hexdigest()} {shown(store, uri)}\n".encode()


def logged(store: Store, uri: str | None, records: Collection[Record]) -> set[str]:
    """The ids of those records that the server has exactly as they are."""
    server, wanted = TrackingServer(store, uri), {tracked.content(r): r.id for r in records}
    found = runs.search(server, runs.experiments(server), f"{runs.ARM} and {runs.WHOLE}")
    known = {run.data.tags.get("trustbench.content") for run in found}
    return {arm for content, arm in wanted.items() if content in known}


def uploaded(store: Store, uri: str | None, record: Record) -> bool:
    """Whether the server is known to have exactly this record; sends no request."""
    return _remembers(store.tracked_file(record.id), _memory(store, uri, record))


def _remembers(path: Path, wanted: bytes) -> bool:
    """Whether a file notes that upload; without a readable one the server is asked."""
    try:
        return read_bytes(path) == wanted
    except Damaged:
        return False


def remember(store: Store, uri: str | None, record: Record) -> None:
    """Records that the server has this record.

    Raises:
        TrackingError: it cannot be written.
    """
    try:
        write_own(store.tracked_file(record.id), _memory(store, uri, record))
    except OSError as error:
        raise TrackingError(f"the upload of {record.id} cannot be noted: {error}.") from error


def _memory(store: Store, uri: str | None, record: Record) -> bytes:
    return f"{tracked.content(record)} {shown(store, uri)}\n".encode()


def _whole_run(server: TrackingServer, where: str, record: Record) -> str | None:
    """The run that holds exactly this record. Closes runs of the arm whose uploader died."""
    content = tracked.content(record)
    for run in runs.search(server, [where], runs.of_arm(record.id), page=100):
        if run.info.status == "RUNNING":
            # this process uploads one record at a time, so it gave up any run that it left open
            if owner.process_state(run.data.tags) in ("gone", "this"):
                close_run(server, str(run.info.run_id), "KILLED")
        elif run.info.status != "KILLED" and run.data.tags.get("trustbench.content") == content:
            return str(run.info.run_id)
    return None


def _now() -> str:
    """The time in milliseconds, as text that sorts like it."""
    return f"{int(1000 * time.time()):015d}"


def _finished_at(store: Store, record: Record) -> int:
    """When a record was written, in milliseconds; now if it is not in the store."""
    path = store.arm_dir(record.id) / "record.json"
    return int(1000 * (path.stat().st_mtime if path.exists() else time.time()))


def create_run(
    server: TrackingServer,
    where: str,
    name: str,
    tags: dict[str, str],
    started: int | None = None,
) -> str:
    """Creates a run and returns its id; reuses the run if the answer to its creation was lost."""
    marked = {**tags, **owner.tags(), UPLOAD: uuid.uuid4().hex, runs.UPLOADED: _now()}
    asked = False

    def create(client: "MlflowClient") -> str:
        nonlocal asked
        if asked:
            wanted = f"tags.`{UPLOAD}` = '{marked[UPLOAD]}'"
            for run in client.search_runs([where], wanted, max_results=1):
                return str(run.info.run_id)
        asked = True
        return str(client.create_run(where, started, tags=marked, run_name=name).info.run_id)

    return server.ask(create)


def _log_values(server: TrackingServer, run_id: str, record: Record) -> None:
    """One call for most records; a server takes 100 parameters or 1,000 metrics at once."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)  # the same for every retry, so that none counts twice
    params = [Param(k, v) for k, v in tracked.params(record).items()]
    metrics = [Metric(m.name, m.value, now, m.step) for m in tracked.metrics(record)]
    server.call("log_batch", run_id, params=params[:100], metrics=metrics[:800])
    for i in range(100, len(params), 100):
        server.call("log_batch", run_id, params=params[i : i + 100])
    for i in range(800, len(metrics), 1000):
        server.call("log_batch", run_id, metrics=metrics[i : i + 1000])


def _log_files(server: TrackingServer, run_id: str, record: Record) -> None:
    """Uploads the record as given, even if another process has changed its file since."""
    artifacts.of_run(server, run_id).put_text("record.json", to_json(record))
    arrays = server.store.arm_dir(record.id) / "arrays.npz"
    if arrays.exists():
        _log_file(server, run_id, arrays)


def _log_file(server: TrackingServer, run_id: str, path: Path, folder: str | None = None) -> None:
    artifacts.of_run(server, run_id).put(path, folder)


def close_run(server: TrackingServer, run_id: str, status: str, ended: int | None = None) -> None:
    """Ends a run with that status, at a time in milliseconds (None: now)."""
    server.call("set_terminated", run_id, status, ended)


def dataset_of(record: Record, columns: Mapping[str, str] = MappingProxyType({})) -> DatasetInput:
    """The data set of a record that reached its data; `columns` are its raw columns, if known."""
    assert record.problem is not None
    return DatasetInput(
        name=record.arm.dataset.name,
        digest=record.problem.fingerprint,
        source=str(record.arm.dataset.params),
        profile=tracked.profile(record.problem),
        columns=columns,
    )
