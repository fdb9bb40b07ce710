"""One arm: problem -> replicates -> system -> measurements -> record."""

import dataclasses
import platform
import time
from collections.abc import Collection, Mapping

import numpy as np
import torch

from trustbench import __version__
from trustbench.config.arms import Chosen
from trustbench.config.identity import evaluation_id
from trustbench.contracts import Array, Evaluator, Fact, Measured, Measurement, System
from trustbench.errors import Unsupported
from trustbench.execution import older, staleness
from trustbench.execution.deploy import deploy
from trustbench.execution.fit import WAITING, Progress
from trustbench.execution.plan import Plan
from trustbench.store.provenance import project
from trustbench.store.records import (
    ArmSpec,
    Evaluation,
    MeasurementRecord,
    ProblemSpec,
    Record,
    Status,
    Store,
)

Evaluated = tuple[Evaluation, dict[str, Array]]


def run(plan: Plan, store: Store, progress: Progress) -> tuple[Record, bool]:
    """The arm's record with every evaluation asked for, and whether all of it existed before.

    Evaluations that an earlier run finished are kept; each new one is stored at once, so a kill
    loses at most the evaluation in progress. Of two processes one computes, the other waits.

    Raises:
        StorageError: something cannot be written; what is stored is whole.
    """
    wanted = {evaluation_id(e): e for e in plan.arm.evaluators}
    with store.exclusive(plan.arm_id, lambda: progress(WAITING, 0, 1)):
        record = store.reclaim(plan.arm_id)
        if record is not None and _complete(record, wanted, store):
            whole = older.completed(plan, record)
            return record if whole is record else store.write(whole), True
        if record is None and staleness.marked(plan.arm):
            why = staleness.stale_arm(_arm_spec(plan), store.records())
            if why is not None:
                store.warn(why)
        return _measured(plan, wanted, record, store, progress), False


def finished(plan: Plan, store: Store) -> Record | None:
    """The record that `run` would find whole; nothing is written or waited for."""
    record = store.read(plan.arm_id)
    wanted = [evaluation_id(e) for e in plan.arm.evaluators]
    if record is None or not _complete(record, wanted, store):
        return None
    return record if older.completed(plan, record) is record else None


def _complete(record: Record, wanted: Collection[str], store: Store) -> bool:
    found = record.status == "ok" and all(k in record.evaluations for k in wanted)
    return found and store.whole(record)


def _measured(
    plan: Plan,
    wanted: Mapping[str, Chosen[Evaluator]],
    earlier: Record | None,
    store: Store,
    progress: Progress,
) -> Record:
    """The finished record, from an earlier one of which all that is whole is kept."""
    started = time.monotonic()
    arrays = _arrays(earlier, store)
    known = older.with_registered(plan, earlier.evaluations) if earlier else {}
    missing = {
        k: e for k, e in wanted.items() if k not in known or not _has_arrays(k, known[k], arrays)
    }
    for key, why in staleness.stale_evaluations(known, missing, plan.arm_id):
        store.warn(why)
        del known[key]
        arrays = {k: a for k, a in arrays.items() if not k.startswith(f"{key}/")}
    record = describe(plan, "started", evaluations=known)
    store.write(record)
    system, changed = deploy(plan, store, progress)
    arrays.setdefault("logits", system.split_logits("test").cpu().numpy())
    for k, (key, chosen) in enumerate(missing.items()):
        progress(chosen.name, k, len(missing))
        found = _shared(plan, chosen, changed, store)
        if found is None:
            store.note(plan.arm_id, f"start {key}")
        record.evaluations[key], extra = found or _evaluate(chosen, system)
        arrays.update({f"{key}/{name}": a for name, a in extra.items()})
        store.write(record, arrays)
        store.note(plan.arm_id, f"{'shared' if found else 'done'} {key}")
    progress("done", len(missing), len(missing))
    finished = record.model_copy(
        update={
            "status": "ok",
            "facts": dict(system.facts),
            "privacy": list(system.guarantees),
            "seconds": round(time.monotonic() - started, 3),
        }
    )
    return store.write(finished, arrays)


def _arrays(record: Record | None, store: Store) -> dict[str, Array]:
    """The stored arrays that can be trusted: a finished record's are as they were written.

    An unfinished record's may be newer than it by one evaluation, each whole in itself.
    """
    if record is None or (record.status == "ok" and not store.whole(record)):
        if record is not None:
            store.warn(
                f"the arrays of arm {record.id} are damaged or missing; it is measured again."
            )
        return {}
    return store.arrays(record.id)


def _has_arrays(key: str, evaluation: Evaluation, arrays: Mapping[str, Array]) -> bool:
    """Whether an evaluation's arrays are there; of older versions, whether there are any."""
    if evaluation.arrays is None:
        return bool(arrays)
    return all(f"{key}/{name}" in arrays for name in evaluation.arrays)


def record_failure(
    plan: Plan,
    store: Store,
    status: Status,
    reason: str,
    traceback: str | None = None,
    facts: Mapping[str, Fact] | None = None,
) -> Record:
    """Writes why an arm has no full set of measurements; what it has, and a finished one, is kept.

    Raises:
        StorageError: it cannot be written.
    """
    with store.exclusive(plan.arm_id):
        known = store.reclaim(plan.arm_id)
        if known is not None and known.status == "ok":
            return known  # another process finished it meanwhile
        evaluations = dict(known.evaluations) if known else None
        record = describe(plan, status, reason=reason, traceback=traceback, evaluations=evaluations)
        record.facts.update(facts or {})
        return store.write(record)


def describe(
    plan: Plan,
    status: Status,
    *,
    reason: str | None = None,
    traceback: str | None = None,
    evaluations: dict[str, Evaluation] | None = None,
) -> Record:
    """The plan's record as it stands before (or instead of) its measurements."""
    return Record(
        id=plan.arm_id,
        fit=plan.fit_id,
        arm=_arm_spec(plan),
        status=status,
        reason=reason,
        traceback=traceback,
        replicates=plan.arm.protocol.replicates,
        facts=plan.facts(),
        problem=_problem_spec(plan),
        evaluations=evaluations or {},
        environment=environment(plan),
        pilot=plan.recorded_pilot,
    )


def _shared(
    plan: Plan, chosen: Chosen[Evaluator], changed: frozenset[str], store: Store
) -> Evaluated | None:
    """The baseline's evaluation, where this arm changed nothing that the evaluator reads."""
    if changed & chosen.plugin.reads or not plan.interventions:
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
    reason = evaluator.supports(system)
    measured: Measured | None = None
    if reason is None:
        try:
            measured = evaluator.measure(system)
        except Unsupported as unsupported:  # found out while measuring, such as a diverged baseline
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
    return MeasurementRecord(
        values=m.values.tolist(),
        higher_is_better=m.higher_is_better,
        unit=m.unit,
        n=m.n,
        lower=m.lower,
        upper=m.upper,
        diagnostic=m.diagnostic,
        common_sd=m.common_sd,
        pseudo=_numbers(m.pseudo),
        shadowing=_numbers(m.shadowing),
        null=m.null,
        permuted=_numbers(m.permuted),
        trivial=m.trivial,
    )


def _numbers(values: Array | None) -> list[float] | None:
    return None if values is None else [float(v) for v in values]


def _arm_spec(plan: Plan) -> ArmSpec:
    arm = plan.arm
    return ArmSpec(
        dataset=arm.dataset.spec(),
        model=arm.model.spec(),
        training=arm.training.content(),
        interventions=[i.spec() for i in arm.interventions],
        control=arm.control,
        protocol=arm.protocol.content(),
        seed=arm.seed,
        engine=plan.engine.name,
    )


def _problem_spec(plan: Plan) -> ProblemSpec:
    problem = plan.problem
    sizes = {str(split): len(rows) for split, rows in problem.splits.items()}
    counts = np.bincount(problem.rows("test")[2], minlength=len(problem.groups))
    return ProblemSpec(
        fingerprint=problem.fingerprint,
        sizes={**sizes, "members": plan.members},
        classes=list(problem.classes),
        groups=list(problem.groups),
        group_name=problem.group_name,
        group_sizes=dict(zip(problem.groups, counts.tolist(), strict=True)),
        card=dataclasses.asdict(problem.card),
    )


def environment(plan: Plan) -> dict[str, str | int | float | bool | None]:
    """Versions and hardware that may explain a difference in the last digits."""
    return {
        "trustbench": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if plan.device.type == "cuda" else "cpu",
        "threads": plan.arm.threads,
        **project(),
    }
