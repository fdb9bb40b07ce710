"""The products of a sweep: its manifest, its tables as files, its report, its upload."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from trustbench import tracking
from trustbench.api.lookup import table_at
from trustbench.api.reports import write_report
from trustbench.config.arms import Arm
from trustbench.config.compose import RunRequest
from trustbench.errors import UserError
from trustbench.execution.job import ArmOutcome
from trustbench.store.manifests import manifest_digest, manifest_lock
from trustbench.store.records import Record, Store, Sweep
from trustbench.summary.render import write_all
from trustbench.summary.table.results import TableResult
from trustbench.summary.table.table import summarize


def keep_manifest(request: RunRequest, outcomes: Sequence[ArmOutcome]) -> Sweep | None:
    """Writes which arms and evaluations the sweep requested.

    Returns None if the sweep was cut short or has no arm with an id: the manifest and the tables of
    an earlier, complete sweep then stay as they are. If another sweep of the same experiment has
    ended since this one began, the manifest holds what both requested.
    """
    cut = any(o.status in ("skipped", "interrupted") for o in outcomes)
    if cut or not any(o.arm_id for o in outcomes):
        return None
    sweep = Sweep(
        experiment=request.experiment,
        table=table_at(request.table, request.metrics).name,
        arms=list(dict.fromkeys(o.arm_id for o in outcomes if o.arm_id)),
        evaluations=list(dict.fromkeys(e for o in outcomes for e in o.evaluations)),
        names={n: o.arm_id for n, o in zip(request.arms, outcomes, strict=True) if o.arm_id},
    )
    store = Store(request.first.output_dir)
    with manifest_lock(store, request.experiment):
        if manifest_digest(store, request.experiment) != request.manifest:
            sweep = _merged(store, sweep)
        store.write_sweep(sweep)
    return sweep


def _merged(store: Store, sweep: Sweep) -> Sweep:
    """The sweep, with what another one of the same experiment and table did at the same time."""
    try:
        other = store.sweep(sweep.experiment)
    except UserError:  # `write_sweep` sets it aside
        return sweep
    if other is None or other.table != sweep.table:
        return sweep
    return sweep.model_copy(
        update={
            "arms": list(dict.fromkeys([*other.arms, *sweep.arms])),
            "evaluations": list(dict.fromkeys([*other.evaluations, *sweep.evaluations])),
            "names": {**other.names, **sweep.names},
        }
    )


def records_of(request: RunRequest, sweep: Sweep) -> list[Record]:
    """The readable records of the sweep's arms, in order."""
    store = Store(request.first.output_dir)
    return [r for r in map(store.read, sweep.arms) if r is not None]


def results_of(request: RunRequest, sweep: Sweep, records: Sequence[Record]) -> list[TableResult]:
    """The tables of a sweep, by the table with which it was run.

    Raises:
        UserError: no registered table compares its arms, as in a sweep of seeds.
    """
    return summarize(records, table_at(request.table, request.metrics), sweep.evaluations)


def publish(
    request: RunRequest, sweep: Sweep, records: Sequence[Record], results: Sequence[TableResult]
) -> Iterator[str]:
    """Writes tables and report into the store and uploads them; yields a warning per failure."""
    store = Store(request.first.output_dir)
    paths = write_all(results, store, request.experiment)
    report = write_report(results, records, store, sweep)
    if report is None:
        yield "the report is too large to be logged; it is kept beside the tables."
    yield from _upload(request.first, store, sweep, [*paths, *filter(None, [report])], results)


def _upload(
    arm: Arm, store: Store, sweep: Sweep, paths: Sequence[Path], results: Sequence[TableResult]
) -> Iterator[str]:
    try:
        if tracking.sweep_uploaded(store, arm.tracking_uri, sweep, paths):
            return
        parent = tracking.prepare(store, arm.tracking_uri, sweep.experiment)
        assert parent is not None
        tracking.log_sweep(store, arm.tracking_uri, parent, sweep, paths, results)
    except tracking.TrackingError as error:
        yield f"{error} The tables are kept in {store.root}."
