"""Uploads of what the tracking server does not have yet."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trustbench import tracking
from trustbench.config.compose import conf_dirs
from trustbench.config.declared_metrics import declared_metrics
from trustbench.store.audits import audits
from trustbench.store.labels import labels
from trustbench.store.records import Record, Store, Sweep


class Uploaded(NamedTuple):
    """How many records and audits went up, and how many were there before."""

    new: int
    known: int
    audits: int = 0
    known_audits: int = 0


def upload_missing(store: Store, uri: str | None) -> Uploaded:
    """Uploads every finished record, the last sweep of each experiment, and every audit.

    Raises:
        TrackingError: the server cannot be reached.
    """
    records = [r for r in store.records() if r.status != "started"]
    sweeps = store.last_sweeps()
    where = _experiment_of_arms(sweeps)
    listed = {sweep.experiment for sweep in sweeps}
    parents = {
        name: tracking.prepare(store, uri, name, sweep=name in listed)
        for name in sorted({*listed, *(where.get(r.id, "default") for r in records)})
    }
    called = _labels(records, where)
    known = tracking.logged(store, uri, records)
    missing = [r for r in records if r.id not in known]
    declared = declared_metrics(conf_dirs()) if missing else {}
    for record in missing:
        name = where.get(record.id, "default")
        label = called.get(record.id)
        tracking.log_record(store, uri, name, record, parents[name], label, declared)
    for sweep in sweeps:
        parent = parents[sweep.experiment]
        if parent is not None:
            tracking.log_sweep(store, uri, parent, sweep, [])
    return Uploaded(len(missing), len(known), *_upload_audits(store, uri))


def _upload_audits(store: Store, uri: str | None) -> tuple[int, int]:
    """Uploads every audit of the store; returns how many, and how many were there before."""
    records = audits(store.root, store.warn)
    if not records:
        return 0, 0
    tracking.prepare(store, uri, "audits", sweep=False)
    known = tracking.logged_audits(store, uri, records)
    for record in records:
        if record.id not in known:
            tracking.log_audit(store, uri, record)
    return len(records) - len(known), len(known)


def _labels(records: Sequence[Record], where: Mapping[str, str]) -> dict[str, str]:
    """What each arm is called beside the others of its sweep."""
    sweeps = defaultdict[str, list[Record]](list)
    for record in records:
        if record.id in where:
            sweeps[where[record.id]].append(record)
    return {
        record.id: text
        for arms in sweeps.values()
        for record, text in zip(arms, labels([r.arm for r in arms]), strict=True)
    }


def _experiment_of_arms(sweeps: Sequence[Sweep]) -> dict[str, str]:
    """The experiment whose last sweep holds each arm; the first by name if there are several."""
    found: dict[str, str] = {}
    for sweep in sweeps:
        for arm in sweep.arms:
            found.setdefault(arm, sweep.experiment)
    return found
