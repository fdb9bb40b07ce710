"""Downloads records and sweeps from a server; refuses incomplete or mislabelled content."""

import hashlib
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from trustbench.contracts import Array
from trustbench.errors import UserError
from trustbench.store.arrays import unpack
from trustbench.store.files import write_own
from trustbench.store.reading import ARRAYS, Damaged, read_bytes
from trustbench.store.record_files import read_record, read_sweep
from trustbench.store.records import Record, Store, Sweep
from trustbench.tracking import artifacts, runs
from trustbench.tracking import run_content as tracked
from trustbench.tracking.server import TrackingError, TrackingServer, is_own_database
from trustbench.tracking.upload import remember

if TYPE_CHECKING:
    from mlflow.entities import Run

NEWEST = 20
"""How many of an arm's runs are searched for evaluations that newer ones lack."""


class _Busy(Exception):
    """Another process has the arm's lock."""


@dataclass
class _Found:
    """What a server has of one arm, from one or more of its runs."""

    record: Record
    arrays: bytes | None = None
    """The arrays file as uploaded; None if runs were joined."""
    joined: dict[str, Array] = field(default_factory=dict)


def fetch_records(store: Store, uri: str | None, experiment: str | None = None) -> Iterator[Record]:
    """Downloads the record of every arm, by arm id; prefers finished ones.

    Restricted to an experiment, it returns the records logged to it and the arms of its last sweep
    wherever they were logged, because experiments share arms.
    """
    server = TrackingServer(store, uri)
    logged_to = runs.experiments(server, experiment)
    sweep = fetch_sweep(store, uri, experiment) if experiment else None
    where = runs.experiments(server) if sweep else logged_to
    wanted = set(sweep.arms) if sweep else set()
    by_arm: dict[str, list[Run]] = {}
    for run in runs.search(server, where, f"{runs.ARM} and {runs.WHOLE}"):
        arm = run.data.tags.get("trustbench.arm_id", "")
        if arm in wanted or str(run.info.experiment_id) in logged_to:
            by_arm.setdefault(arm, []).append(run)
    for _, found in sorted(by_arm.items()):
        chosen = _chosen(found) or found[:1]
        record = _record(server, chosen[0])
        for run in chosen[1:]:
            record = _joined(record, _record(server, run))
        yield record


def fetch_sweep(store: Store, uri: str | None, experiment: str) -> Sweep | None:
    """Downloads the manifest of an experiment's newest sweep; None without one."""
    server = TrackingServer(store, uri)
    return _newest_sweep(server, runs.experiments(server, experiment))


def fetch_sweeps(store: Store, uri: str | None) -> list[Sweep]:
    """Downloads the manifest of every experiment's newest sweep."""
    server = TrackingServer(store, uri)
    found = [_newest_sweep(server, [each]) for each in runs.experiments(server)]
    return [sweep for sweep in found if sweep is not None]


def _newest_sweep(server: TrackingServer, experiments: list[str]) -> Sweep | None:
    for run in runs.search(server, experiments, runs.SWEEP):
        files = artifacts.of_run(server, run.info.run_id).names("sweep")
        if files:
            with tempfile.TemporaryDirectory() as folder:
                path = _file(server, run, f"sweep/{files[0]}", folder)
                try:
                    return read_sweep(path)
                except UserError as error:
                    raise TrackingError(
                        f"run {run.info.run_id} cannot be used: its {path.name} is not a complete "
                        "list of a sweep's arms; run the sweep again."
                    ) from error
    return None


def fetch_arrays(
    store: Store, uri: str | None, arm: str, wanted: Collection[str]
) -> dict[str, Array]:
    """Downloads the arrays of an arm's `wanted` evaluations; empty if the server has none."""
    found = _find(TrackingServer(store, uri), arm, wanted)
    return {} if found is None else found.joined or _arrays(found)


def bring(store: Store, uri: str | None, arm: str, wanted: Collection[str]) -> None:
    """Copies the server's content for an arm's `wanted` evaluations into the store.

    This is how machines without a shared disk find what others have finished. It sends no request
    if the store has the evaluations, or if the server is the store's own database. If the server is
    unreachable, or its record is incomplete, it gives one warning.
    """
    if is_own_database(store, uri):
        return
    local = store.read(arm)
    if local is not None and _finished(local, wanted, store):
        return
    if store.tracking_silent.exists():
        return  # it was reported, and the upload will try again
    try:
        found = _find(TrackingServer(store, uri, patient=True), arm, wanted)
        if found is not None:
            _keep(store, uri, found, wanted)
    except _Busy:
        return  # its result is awaited, and is as good
    except TrackingError as error:
        store.warn(f"{error} The arm is computed here, even if another machine has finished it.")


def _find(server: TrackingServer, arm: str, wanted: Collection[str]) -> _Found | None:
    """The newest finished runs of an arm that together have the most of `wanted`."""
    finished = f"{runs.of_arm(arm)} and attributes.status = 'FINISHED'"
    filtered = f"{finished} and tags.`trustbench.status` = 'ok'"
    where = runs.experiments(server)
    newest = islice(runs.search(server, where, filtered, page=NEWEST), NEWEST)
    found: _Found | None = None
    for run in _chosen(newest, wanted):
        one = _download(server, run, arm)
        if found is None:
            found = one
        else:
            joined = {**_arrays(one), **(found.joined or _arrays(found))}
            found = _Found(_joined(found.record, one.record), None, joined)
    return found


def _chosen(found: Iterable["Run"], wanted: Collection[str] | None = None) -> list["Run"]:
    """Selects, newest first, each finished run with a (wanted) evaluation that the others lack."""
    have: set[str] = set()
    chosen: list[Run] = []
    for run in found:
        tags = run.data.tags
        offered = set(tags.get(tracked.EVALUATIONS, "").split())
        new = (offered if wanted is None else offered & set(wanted)) - have
        if tags.get("trustbench.status") == "ok" and (new or (wanted is None and not chosen)):
            chosen.append(run)
            have |= offered
    return chosen


def _keep(store: Store, uri: str | None, found: _Found, wanted: Collection[str]) -> None:
    """Writes the runs found next to, or in place of, what the store has now."""

    def busy() -> None:
        raise _Busy

    with store.exclusive(found.record.id, busy):
        local, record = store.reclaim(found.record.id), found.record
        lost = set() if local is None else set(local.evaluations) - set(record.evaluations)
        if local is None or not lost or not store.whole(local):
            if found.arrays is None:
                store.write(record, found.joined)
            else:
                write_own(store.arm_dir(record.id) / "arrays.npz", found.arrays)
                remember(store, uri, store.write(record))
        elif _missing_files(local, wanted):
            base, other = (local, record) if local.status == "ok" else (record, local)
            arrays = [store.arrays(record.id), found.joined or _arrays(found)]
            first, last = arrays if base is record else reversed(arrays)
            store.write(_joined(base, other), {**first, **last})
        else:
            return
        names = sorted(e.evaluator.name for e in record.evaluations.values())
        store.note(record.id, f"brought from the tracking server: {', '.join(names)}")


def _finished(record: Record, wanted: Collection[str], store: Store) -> bool:
    return record.status == "ok" and not _missing_files(record, wanted) and store.whole(record)


def _missing_files(record: Record, wanted: Collection[str]) -> set[str]:
    return set(wanted) - set(record.evaluations)


def _joined(base: Record, other: Record) -> Record:
    """Joins a record with those evaluations of another record of the same arm that it lacks."""
    return base.model_copy(update={"evaluations": {**other.evaluations, **base.evaluations}})


def _download(server: TrackingServer, run: "Run", arm: str) -> _Found:
    """Downloads a run's record of an arm and its arrays, verified."""
    record = _record(server, run)
    if record.id != arm:  # it names the folder to be written
        raise _refusal(run, f"its record is of another arm than {arm}")
    with tempfile.TemporaryDirectory() as folder:
        data = _bytes(run, _file(server, run, "arrays.npz", folder))
    if hashlib.sha256(data).hexdigest() != record.arrays_sha256:
        raise _refusal(run, "its arrays are not those that its record names")
    return _Found(record, data)


def _record(server: TrackingServer, run: "Run") -> Record:
    """Downloads a run's record; raises TrackingError if it does not match the run's tags."""
    with tempfile.TemporaryDirectory() as folder:
        path = _file(server, run, "record.json", folder)
        try:
            record = read_record(path)
        except UserError as error:
            raise _refusal(run, str(error).replace(str(path), "record.json")) from error
    tags = run.data.tags
    described = (tags.get("trustbench.arm_id"), tags.get("trustbench.content"))
    if (record.id, tracked.content(record)) != described:
        raise _refusal(run, "its record is not the one that its tags describe")
    return record


def _bytes(run: "Run", path: Path) -> bytes:
    try:
        return read_bytes(path, ARRAYS) or b""
    except Damaged as damage:
        raise _refusal(run, f"its {path.name} cannot be read: {damage}") from damage


def _refusal(run: "Run", why: str) -> TrackingError:
    arm = run.data.tags.get("trustbench.arm_id")
    return TrackingError(f"run {run.info.run_id} of arm {arm} cannot be used: {why.rstrip('.')}.")


def _file(server: TrackingServer, run: "Run", name: str, folder: str) -> Path:
    return artifacts.of_run(server, run.info.run_id).get(name, Path(folder))


def _arrays(found: _Found) -> dict[str, Array]:
    if found.arrays is None:
        return {}
    try:
        return unpack(found.arrays)
    except Damaged as damage:
        arm = found.record.id
        raise TrackingError(f"the arrays of arm {arm} cannot be used: {damage}.") from damage
