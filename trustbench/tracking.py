"""Records -> MLflow and back; the only importer of mlflow.

The record on disk is the truth and is written first. Here a finished record becomes one run, in
one batch, with the record and its arrays as artifacts, so a table can be rebuilt from a server.
"""

import logging
import os
import sqlite3
import subprocess
import tempfile
import time
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustbench import tracked
from trustbench.errors import TrustbenchError
from trustbench.records import Record, Store, Sweep, read_record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # an unreachable server must cost seconds, not minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
_FINISHED = ("ok", "unsupported")
_ARM = "tags.`trustbench.kind` = 'arm'"
_SWEEP = "tags.`trustbench.kind` = 'sweep'"
_DONE = "attributes.status != 'RUNNING'"


class TrackingError(TrustbenchError):
    """The tracking server cannot be reached or refuses; the record on disk is not affected."""


def resolve(store: Store, uri: str | None) -> str:
    """An absolute tracking address; None is a database below the store."""
    if uri is None:
        return f"sqlite:///{store.tracking_db}"
    path = uri.removeprefix("sqlite:///")
    return f"sqlite:///{Path(path).absolute()}" if path != uri else uri


def prepare(store: Store, uri: str | None, experiment: str, *, sweep: bool = True) -> str | None:
    """Makes the database and the experiment before any worker starts; the sweep's run id.

    Processes that race to create a database corrupt it, so the parent does it alone. All sweeps
    of an experiment share one run, whose manifest is the last sweep's; without `sweep`, None.

    Raises:
        TrackingError: the server cannot be reached.
    """
    address = resolve(store, uri)
    if address.startswith("sqlite:///"):
        _make_database(Path(address.removeprefix("sqlite:///")))
    with _errors(address):
        client = _client(address)
        where = _experiment(client, store, address, experiment)
        if not sweep:
            return None
        for run in _search(client, [where], _SWEEP):
            return str(run.info.run_id)
        tags = {"trustbench.kind": "sweep", "trustbench.experiment": experiment, **_git_tags()}
        made = client.create_run(where, tags=tags, run_name=experiment)
        # A sweep may be killed at any moment; its run only groups others and is never "running".
        client.set_terminated(made.info.run_id, "FINISHED")
        return str(made.info.run_id)


def log_record(
    store: Store, uri: str | None, experiment: str, record: Record, parent: str | None = None
) -> str:
    """Uploads a finished record as a new run, below the run `parent`; its run id.

    Raises:
        TrackingError: the server cannot be reached or refuses.
    """
    address = resolve(store, uri)
    with _errors(address):
        client = _client(address)
        where = _experiment(client, store, address, experiment)
        tags = {**tracked.tags(record, experiment), **_git_tags()}
        if parent:
            tags["mlflow.parentRunId"] = parent
        run = client.create_run(where, tags=tags, run_name=tracked.label(record))
        run_id = str(run.info.run_id)
        _log_values(client, run_id, record)
        _log_dataset(client, run_id, record)
        for name in ("record.json", "arrays.npz"):
            path = store.arm_dir(record.id) / name
            if path.exists():
                client.log_artifact(run_id, str(path))
        client.set_terminated(run_id, "FINISHED" if record.status in _FINISHED else "FAILED")
        return run_id


def log_sweep(
    store: Store, uri: str | None, parent: str, sweep: Sweep, tables: Sequence[Path]
) -> None:
    """Uploads a sweep's manifest and rendered tables to its run."""
    address = resolve(store, uri)
    with _errors(address):
        client = _client(address)
        client.log_artifact(parent, str(store.sweep_file(sweep.experiment)), "sweep")
        for path in tables:
            client.log_artifact(parent, str(path), "tables")
        client.set_terminated(parent, "FINISHED")


def logged(store: Store, uri: str | None, records: Collection[Record]) -> set[str]:
    """The ids of those records that the server has exactly as they are."""
    address, wanted = resolve(store, uri), {tracked.content(r): r.id for r in records}
    with _errors(address):
        client = _client(address)
        runs = _search(client, _experiments(client, None), f"{_ARM} and {_DONE}")
        known = {run.data.tags.get("trustbench.content") for run in runs}
    return {arm for content, arm in wanted.items() if content in known}


def fetch_records(store: Store, uri: str | None, experiment: str | None = None) -> Iterator[Record]:
    """The newest record of every arm on the server, by arm id."""
    address = resolve(store, uri)
    with _errors(address), tempfile.TemporaryDirectory() as folder:
        client = _client(address)
        newest: dict[str, Run] = {}
        for run in _search(client, _experiments(client, experiment), f"{_ARM} and {_DONE}"):
            newest.setdefault(run.data.tags["trustbench.arm_id"], run)
        for _, run in sorted(newest.items()):
            path = client.download_artifacts(run.info.run_id, "record.json", folder)
            yield read_record(Path(path))


def fetch_sweep(store: Store, uri: str | None, experiment: str) -> Sweep | None:
    """The manifest of an experiment's newest sweep on the server, or None."""
    address = resolve(store, uri)
    with _errors(address), tempfile.TemporaryDirectory() as folder:
        client = _client(address)
        for run in _search(client, _experiments(client, experiment), _SWEEP):
            files = [a.path for a in client.list_artifacts(run.info.run_id, "sweep")]
            if files:
                path = client.download_artifacts(run.info.run_id, files[0], folder)
                return Sweep.model_validate_json(Path(path).read_bytes())
    return None


def _log_values(client: "MlflowClient", run_id: str, record: Record) -> None:
    """One call for most records; a server takes 100 parameters or 1,000 metrics at once."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    params = [Param(k, v) for k, v in tracked.params(record).items()]
    metrics = [Metric(m.name, m.value, now, m.step) for m in tracked.metrics(record)]
    client.log_batch(run_id, params=params[:100], metrics=metrics[:800])
    for i in range(100, len(params), 100):
        client.log_batch(run_id, params=params[i : i + 100])
    for i in range(800, len(metrics), 1000):
        client.log_batch(run_id, metrics=metrics[i : i + 1000])


def _log_dataset(client: "MlflowClient", run_id: str, record: Record) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    if record.problem is None:
        return
    dataset = Dataset(
        name=record.arm.dataset.name,
        digest=record.problem.fingerprint[:36],
        source_type="trustbench",
        source=str(record.arm.dataset.params),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])])


def _make_database(path: Path) -> None:
    """Write-ahead logging, so that readers and one writer never wait for each other."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma journal_mode=WAL")
    except (OSError, sqlite3.Error) as error:
        raise TrackingError(f"the tracking database {path} cannot be opened: {error}.") from error


@lru_cache(maxsize=8)
def _client(address: str) -> "MlflowClient":
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        # mlflow imports with deprecated features of its own dependencies
        warnings.simplefilter("ignore", DeprecationWarning)
        from mlflow import MlflowClient

        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=address)


def _experiment(client: "MlflowClient", store: Store, address: str, name: str) -> str:
    """The id of an experiment, made when it does not exist. A server keeps artifacts itself."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    local = address.startswith("sqlite:///")
    return str(client.create_experiment(name, store.tracking_artifacts.as_uri() if local else None))


def _experiments(client: "MlflowClient", name: str | None) -> list[str]:
    if name is not None:
        found = client.get_experiment_by_name(name)
        return [found.experiment_id] if found else []
    ids: list[str] = []
    token = None
    while True:
        page = client.search_experiments(max_results=1000, page_token=token)
        ids += [e.experiment_id for e in page]
        token = page.token
        if not token:
            return ids


def _search(client: "MlflowClient", experiments: list[str], wanted: str) -> Iterator["Run"]:
    """Every run that `wanted` filters, newest first; a single search stops at 1,000."""
    token = None
    while experiments:
        page = client.search_runs(
            experiments, wanted, order_by=["attributes.start_time DESC"], page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def _errors(address: str) -> Iterator[None]:
    """Whatever a server, its database or its artifact store raises, as a TrackingError."""
    import requests
    from sqlalchemy.exc import SQLAlchemyError

    known: tuple[type[BaseException], ...] = (SQLAlchemyError, requests.RequestException, OSError)
    try:
        _client(address)  # imports mlflow with its settings in place
        from mlflow.exceptions import MlflowException

        known = (*known, MlflowException)
        yield
    except known as error:
        raise TrackingError(f"tracking at {address} failed: {_reason(error)}.") from error


def _reason(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    if "ConnectionPool(" in text:
        return "the server does not answer"
    return text.splitlines()[0][:300].rstrip(".")


@lru_cache(maxsize=1)
def _git_tags() -> dict[str, str]:
    """The commit that a checkout of trustbench is at; nothing for an installed wheel."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return {}
    try:
        commit = _git(root, "rev-parse", "HEAD")
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return {}  # no git on this machine: the tag is absent, which says so
    return {
        "mlflow.source.git.commit": commit,
        "trustbench.git_commit": commit,
        "trustbench.git_dirty": str(dirty).lower(),
    }


def _git(root: Path, *args: str) -> str:
    done: Any = subprocess.run(
        ["git", "-C", str(root), *args], capture_output=True, text=True, check=True, timeout=10
    )
    return str(done.stdout).strip()
