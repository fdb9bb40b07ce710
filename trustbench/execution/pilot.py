"""The learning rate of a plan with `training.lr=auto`: read from a pilot, or tried."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from trustbench.contracts.seeding import Streams
from trustbench.execution.fit import WAITING, Progress
from trustbench.execution.plan import Plan
from trustbench.store.files import append_line, exclusive
from trustbench.store.records import Pilot, Store, Tried
from trustbench.training import pilot, replicates
from trustbench.training.state import Trainer

STAGE = "pilot"
"""The stage in which an arm's learning rate is chosen."""


def settle(plan: Plan, store: Store, progress: Progress) -> Plan:
    """Returns the plan with its learning rate; a pilot chooses it for training.lr=auto.

    Arms that share a pilot wait for the one process that runs it. Every rate is stored as soon as
    it is tried, so a kill loses only the one in progress.

    Raises:
        ConfigError: the pilot diverges at every rate.
        StorageError: its results cannot be written.
    """
    known = settled(plan, store)
    if known is not None:
        return known
    training, folder = plan.arm.training, store.pilot_dir(plan.pilot_id)
    with exclusive(folder, lambda: progress(WAITING, 0, 1)):
        tried = {t.rate: t for t in pilot.reclaim_tried(folder, plan.pilot_id, store.warn)}
        for k, rate in enumerate(sorted(training.lr_grid)):
            if rate in tried:
                continue
            append_line(folder / "journal", f"start {rate:g}")
            tried[rate] = _try_rate(plan, rate, _within(progress, k, len(training.lr_grid)))
            pilot.write_tried(folder, plan.pilot_id, list(tried.values()))
            append_line(folder / "journal", f"done {rate:g}")
    return _with_rate(plan, tried.values())


def settled(plan: Plan, store: Store) -> Plan | None:
    """The plan with its learning rate, or None if a pilot has yet to choose it.

    Nothing is trained, written or waited for.

    Raises:
        ConfigError: as in `settle`.
    """
    if not plan.arm.undecided:
        return plan
    tried = pilot.read_tried(store.pilot_dir(plan.pilot_id), plan.pilot_id, store.warn)
    if {t.rate for t in tried} != set(plan.arm.training.lr_grid):
        return None
    return _with_rate(plan, tried)


def assumed(plan: Plan) -> Plan:
    """The plan at the smallest rate of its grid, for statements before the pilot has run.

    No rate affects whether methods fit the problem and each other, or what they may claim.
    """
    training = plan.arm.training
    choice = Pilot(
        rate=min(training.lr_grid),
        tried=(),
        replicates=pilot.REPLICATES,
        epochs=training.pilot_epochs,
    )
    return replace(plan, arm=replace(plan.arm, pilot=choice))


def _with_rate(plan: Plan, tried: Iterable[Tried]) -> Plan:
    choice = pilot.chosen(tried, plan.arm.training.pilot_epochs)
    return replace(plan, arm=replace(plan.arm, pilot=choice))


def _try_rate(plan: Plan, rate: float, progress: Callable[[int, int], None]) -> Tried:
    """The baseline's result at a rate, from replicates that are not the arm's own."""
    arm = plan.arm
    streams = Streams(plan.streams.entropy("pilot"))
    protocol = replace(arm.protocol, replicates=pilot.REPLICATES)
    membership = replicates.membership(plan.problem, protocol, streams)
    schedule = arm.training.schedule(int(membership.sum(1).min()), rate)
    trainer = Trainer(
        problem=plan.problem,
        engine=plan.engine,
        interventions=(),
        schedule=replace(schedule, epochs=arm.training.pilot_epochs),
        rule=None,
        membership=membership,
        streams=streams,
        device=plan.device,
        patience=arm.training.patience,
    )
    params = replicates.initial_parameters(
        arm.model.plugin, plan.problem, pilot.REPLICATES, streams, plan.device
    )
    return pilot.try_rate(trainer, params, progress)


def _within(progress: Progress, rate: int, rates: int) -> Callable[[int, int], None]:
    """Converts the progress of one of several rates to that of all."""
    return lambda epoch, epochs: progress(STAGE, rate * epochs + epoch, rates * epochs)
