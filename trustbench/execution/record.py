"""The record of an arm, from its plan: what it is, where it ran, and why it may have failed."""

import dataclasses
import platform
from collections.abc import Mapping

import numpy as np
import torch

from trustbench import __version__
from trustbench.config.arm_labels import spec_of
from trustbench.contracts import Fact, Problem
from trustbench.errors import Unsupported
from trustbench.execution.plan import Plan, refuse_impossible
from trustbench.store.provenance import project
from trustbench.store.records import (
    Evaluation,
    ProblemSpec,
    Record,
    Status,
    Store,
)
from trustbench.store.redaction import redact


def record_failure(
    plan: Plan,
    store: Store,
    status: Status,
    reason: str,
    traceback: str | None = None,
    facts: Mapping[str, Fact] | None = None,
) -> Record:
    """Writes why an arm lacks measurements; existing ones, and a finished record, are kept.

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


def impossible(plan: Plan, store: Store) -> Record | None:
    """The record of an arm whose parts do not fit each other, if they still do not; else None."""
    record = store.read(plan.arm_id)
    if record is None or record.status != "unsupported":
        return None
    try:
        refuse_impossible(plan)
    except Unsupported as error:
        return record if record.reason == redact(str(error)) else None
    return None


def describe(
    plan: Plan,
    status: Status,
    *,
    reason: str | None = None,
    traceback: str | None = None,
    evaluations: dict[str, Evaluation] | None = None,
) -> Record:
    """The plan's record before (or instead of) its measurements."""
    return Record(
        id=plan.arm_id,
        fit=plan.fit_id,
        arm=spec_of(plan.arm, plan.engine.name),
        status=status,
        reason=reason,
        traceback=traceback,
        replicates=plan.arm.protocol.replicates,
        facts=plan.facts(),
        problem=problem_spec(plan, plan.problem),
        evaluations=evaluations or {},
        environment=environment(plan),
        pilot=plan.recorded_pilot,
    )


def problem_spec(plan: Plan, measured: Problem) -> ProblemSpec:
    """The arm's data; groups are counted in `measured`, whose test rows a method may replace."""
    problem = plan.problem
    sizes = {str(split): len(rows) for split, rows in problem.splits.items()}
    counts = np.bincount(measured.rows("test")[2], minlength=len(problem.groups))
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
