"""Fetches records of arms that ran elsewhere: by a shared disk, or by the tracking server."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trustbench import tracking
from trustbench.execution.job import ArmOutcome
from trustbench.store.records import Store


def with_records(
    outcomes: Sequence[ArmOutcome], output_dir: Path, tracking_uri: str | None
) -> list[ArmOutcome]:
    """Puts every available record into the store; an arm without one fails."""
    store = Store(output_dir)
    return [_with_record(outcome, store, tracking_uri) for outcome in outcomes]


def _with_record(outcome: ArmOutcome, store: Store, uri: str | None) -> ArmOutcome:
    if outcome.status != "ok" or outcome.arm_id is None or _is_here(outcome, store):
        return outcome
    tracking.bring(store, uri, outcome.arm_id, outcome.evaluations)
    if _is_here(outcome, store):
        return outcome
    server = (
        "give a tracking server, tracking_uri=http://HOST:PORT"
        if tracking.is_own_database(store, uri)
        else "make sure that all machines can reach the tracking server"
    )
    reason = (
        "its record is on another machine's disk; put output_dir on a disk that all machines "
        f"share, or {server}, and run the same command again."
    )
    return replace(outcome, status="failed", reason=reason)


def _is_here(outcome: ArmOutcome, store: Store) -> bool:
    assert outcome.arm_id is not None
    record = store.read(outcome.arm_id)
    if record is None or record.status != "ok":
        return False
    return set(outcome.evaluations) <= set(record.evaluations)
