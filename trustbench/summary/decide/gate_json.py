"""A gate as JSON: schema 1, with every number that decided."""

from typing import Any

from trustbench.summary.decide import gate_wording as w
from trustbench.summary.decide.decisions import Decision
from trustbench.summary.decide.gate import Candidate, Gate
from trustbench.summary.decide.policy import Limit
from trustbench.summary.render.escaping import json_text
from trustbench.summary.stats.effects import Effect

SCHEMA = 1


def document(gate: Gate) -> dict[str, Any]:
    """The JSON document: the policy in full, and every candidate with its decisions."""
    return {
        "schema": SCHEMA,
        "policy": gate.policy.model_dump(mode="json"),
        "outcome": str(gate.outcome),
        "candidates": [_candidate(c) for c in gate.candidates],
        "notes": list(gate.notes),
    }


def text(gate: Gate) -> str:
    """The document as text; refuses NaN and infinity, which JSON does not have."""
    return json_text(document(gate))


def _candidate(c: Candidate) -> dict[str, Any]:
    return {
        "dataset": c.dataset,
        "model": c.model,
        "variant": c.variant,
        "arm": c.arm,
        "dose": dict(c.dose),
        "against": c.against,
        "replicates": c.replicates,
        "unit": c.unit,
        "records": list(c.records),
        "outcome": str(c.outcome),
        "decisions": [_decision(d) for d in c.decisions],
    }


def _interval(effect: Effect | None) -> dict[str, float] | None:
    """An effect that accompanies the decisive one."""
    if effect is None:
        return None
    return {"effect": effect.effect, "low": effect.low, "high": effect.high}


def _decision(d: Decision) -> dict[str, Any]:
    e, f = d.estimate, d.estimate.effect
    limit = isinstance(d.rule, Limit)
    return {
        "rule": "limit" if limit else "block",
        "cell": d.cell,
        "metric": e.metric,
        "regime": e.regime,
        "asked": w.requirement(d),
        "bound": {"kind": d.bound.kind, "value": d.bound.value} if d.bound else None,
        "outcome": str(d.outcome),
        "counts_as": str(d.counts_as),
        "effect": f.effect if f else None,
        "low": f.low if f else None,
        "high": f.high if f else None,
        "n": f.n if f else None,
        "pools": f.pools if f else None,
        "sd": f.sd if f else None,
        "p": f.p if f else None,
        "p_adjusted": e.p_adjusted,
        "unit": e.unit,
        "against": d.against,
        "treated_mean": e.treated_mean,
        "reference_mean": e.reference_mean,
        "treated_chance": e.treated_chance,
        "reference_chance": e.reference_chance,
        "beyond_chance": _interval(e.beyond_chance),
        "verdict": e.verdict.text if e.verdict and not limit else None,
        "needs": d.needs,
        "reason": d.reason,
        "unreliable": d.unreliable,
        "asked_because": d.rule.reason,
        "sentence": w.sentence(d),
        "records": list(e.records),
    }
