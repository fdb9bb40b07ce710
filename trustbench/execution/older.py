"""Adds what records of older versions lack, when their arm is requested again."""

from collections.abc import Mapping
from typing import Any

from trustbench.config.identity import evaluation_id
from trustbench.contracts import guarantees
from trustbench.execution.plan import Plan
from trustbench.store.records import Evaluation, Record


def completed(plan: Plan, record: Record) -> Record:
    """The record with privacy claims and unregistered settings filled in.

    Returns the same object if nothing is missing.
    """
    update: dict[str, Any] = {}
    if record.privacy is None:
        facts = {**guarantees.without_claims(record.facts), **guarantees.facts(plan.guarantees)}
        update = {"facts": facts, "privacy": list(plan.guarantees)}
    known = with_registered(plan, record.evaluations)
    if known != record.evaluations:
        update["evaluations"] = known
    return record.model_copy(update=update) if update else record


def with_registered(plan: Plan, known: Mapping[str, Evaluation]) -> dict[str, Evaluation]:
    """The evaluations; requested ones state which of their settings are not registered."""
    out = dict(known)
    for chosen in plan.arm.evaluators:
        key = evaluation_id(chosen)
        if key in out and out[key].evaluator.registered is None:
            out[key] = out[key].model_copy(update={"evaluator": chosen.spec()})
    return out
