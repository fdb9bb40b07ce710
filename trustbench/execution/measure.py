"""Measures a deployed system; each evaluation of its record is stored as soon as it exists."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from trustbench.config.arm_labels import spec_of
from trustbench.config.arms import Chosen
from trustbench.config.identity import evaluation_id
from trustbench.contracts import (
    Array,
    Evaluator,
    Measured,
    Measurement,
    Need,
    System,
    metrics,
)
from trustbench.errors import Unsupported
from trustbench.execution import staleness
from trustbench.execution.deploy_needs import seen_in
from trustbench.execution.fit import Progress
from trustbench.execution.plan import Plan
from trustbench.execution.record import describe, problem_spec
from trustbench.store.records import Evaluation, MeasurementRecord, Record, Store
from trustbench.training.memory import until_it_fits

Evaluated = tuple[Evaluation, dict[str, Array]]


@dataclass
class PartialRecord:
    """A partial record, its arrays, and the evaluators that it lacks."""

    plan: Plan
    store: Store
    record: Record
    arrays: dict[str, Array]
    missing: dict[str, Chosen[Evaluator]]
    started: float


def stored(plan: Plan, store: Store) -> Record | None:
    """The arm's record if it has every evaluation, or None; only its holder may call this."""
    record = store.reclaim(plan.arm_id)
    return record if record is not None and _complete(record, plan, store) else None


def finished(plan: Plan, store: Store) -> Record | None:
    """The record that `stored` would return unchanged; writes nothing and waits for nothing."""
    record = store.read(plan.arm_id)
    return record if record is not None and _complete(record, plan, store) else None


def _wanted(plan: Plan) -> dict[str, Chosen[Evaluator]]:
    return {evaluation_id(e): e for e in plan.arm.evaluators}


def _complete(record: Record, plan: Plan, store: Store) -> bool:
    """Whether a record has everything that the arm asks for, under the claims that hold for it.

    Declarations to the privacy ledger are not part of an id. Where they have changed, as by another
    `dataset.scaling` that leads to the same numbers, the arm is deployed again from its fits and
    its record says what holds now.
    """
    found = record.status == "ok" and all(k in record.evaluations for k in _wanted(plan))
    return found and _claims_hold(record, plan) and store.whole(record)


def _claims_hold(record: Record, plan: Plan) -> bool:
    """Whether the record's claims are those that follow now, with what deployment has seen."""
    seen = [s for g in record.privacy for s in seen_in(g.void or "", plan.deployments)]
    wanted = plan.claims(list(dict.fromkeys(seen))) if seen else plan.guarantees
    return tuple(record.privacy) == wanted


def begin(plan: Plan, store: Store) -> PartialRecord:
    """The arm's record as `started`, with all intact parts of an earlier one."""
    started = time.monotonic()
    earlier = store.read(plan.arm_id)
    if earlier is None and staleness.marked(plan.arm):
        why = staleness.stale_arm(spec_of(plan.arm, plan.engine.name), store.records())
        if why is not None:
            store.warn(why)
    arrays = store.reclaim_arrays(earlier) if earlier else {}
    known = dict(earlier.evaluations) if earlier else {}
    missing = {
        k: e
        for k, e in _wanted(plan).items()
        if k not in known or not _has_arrays(k, known[k], arrays)
    }
    for key, why in staleness.stale_evaluations(known, missing, plan.arm_id):
        store.warn(why)
        del known[key]
        arrays = {k: a for k, a in arrays.items() if not k.startswith(f"{key}/")}
    record = describe(plan, "started", evaluations=known)
    store.write(record)
    return PartialRecord(plan, store, record, arrays, missing, started)


def share(begun: PartialRecord, changed: frozenset[str]) -> dict[str, Evaluated]:
    """Adds the baseline's evaluations that also hold for the arm, among those it lacks.

    `changed` are the channels that the arm's methods have changed.
    """
    found = {
        key: _shared(begun.plan, chosen, changed, begun.store)
        for key, chosen in begun.missing.items()
    }
    return {key: evaluated for key, evaluated in found.items() if evaluated is not None}


def needs(begun: PartialRecord, shared: Collection[str], system: System) -> set[Need]:
    """The other systems that the pending evaluators need."""
    left = [chosen.plugin for key, chosen in begun.missing.items() if key not in shared]
    return {n for e in left if e.refusal(system) is None for n in e.needs_of(system)}


def measure(
    begun: PartialRecord, shared: Mapping[str, Evaluated], system: System, progress: Progress
) -> None:
    """Fills the record: each evaluation is stored at once."""
    record, store, arrays = begun.record, begun.store, begun.arrays
    arrays.setdefault("logits", system.split_logits("test").cpu().numpy())
    for k, (key, chosen) in enumerate(begun.missing.items()):
        progress(chosen.name, k, len(begun.missing))
        if key not in shared:
            store.note(record.id, f"start {key}")
        record.evaluations[key], extra = shared.get(key) or _evaluate(chosen, system)
        arrays.update({f"{key}/{name}": a for name, a in extra.items()})
        store.write(record, arrays)
        store.note(record.id, f"{'shared' if key in shared else 'done'} {key}")
    progress("done", len(begun.missing), len(begun.missing))


def finish(begun: PartialRecord, system: System) -> Record:
    """The finished record, as stored; its groups are those of the rows that were measured."""
    finished = begun.record.model_copy(
        update={
            "problem": problem_spec(begun.plan, system.problem),
            "status": "ok",
            "facts": dict(system.facts),
            "privacy": list(system.guarantees),
            "seconds": round(time.monotonic() - begun.started, 3),
        }
    )
    return begun.store.write(finished, begun.arrays)


def _has_arrays(key: str, evaluation: Evaluation, arrays: Mapping[str, Array]) -> bool:
    """Whether an evaluation's arrays exist."""
    return all(f"{key}/{name}" in arrays for name in evaluation.arrays)


def _shared(
    plan: Plan, chosen: Chosen[Evaluator], changed: frozenset[str], store: Store
) -> Evaluated | None:
    """The baseline's evaluation, if this arm changed nothing that the evaluator reads."""
    if changed & chosen.plugin.depends_on or not plan.interventions:
        return None
    baseline = plan.baseline()
    if baseline.fit_id != plan.fit_id:
        return None
    record, key = store.read(baseline.arm_id), evaluation_id(chosen)
    found = record.evaluations.get(key) if record else None
    if found is None or found.status != "ok":
        return None
    arrays = store.arrays(baseline.arm_id)
    if not _has_arrays(key, found, arrays):
        return None
    own = {k.removeprefix(f"{key}/"): a for k, a in arrays.items() if k.startswith(f"{key}/")}
    return found.model_copy(update={"seconds": 0.0, "evaluator": chosen.spec()}), own


def _evaluate(chosen: Chosen[Evaluator], system: System) -> Evaluated:
    evaluator, spec = chosen.plugin, chosen.spec()
    started = time.monotonic()
    reason = evaluator.refusal(system)
    measured: Measured | None = None
    if reason is None:
        try:
            measured = until_it_fits(lambda: evaluator.measure(system))
            metrics.check(evaluator.metrics, measured, type(evaluator).__name__)
        except Unsupported as unsupported:  # found while measuring, such as a diverged baseline
            reason = str(unsupported)
    if measured is None:
        return Evaluation(evaluator=spec, status="unsupported", reason=reason, arrays=[]), {}
    evaluation = Evaluation(
        evaluator=spec,
        status="ok",
        seconds=round(time.monotonic() - started, 3),
        measurements={m.name: _measurement(m, system) for m in measured.measurements},
        facts=dict(measured.facts),
        missing=dict(measured.missing),
        arrays=sorted(measured.arrays),
    )
    return evaluation, {k: np.asarray(v) for k, v in measured.arrays.items()}


def _measurement(m: Measurement, system: System) -> MeasurementRecord:
    if len(m.values) != system.replicates:
        raise ValueError(f"{m.name}: {len(m.values)} values for {system.replicates} replicates")
    return MeasurementRecord.of(m)
