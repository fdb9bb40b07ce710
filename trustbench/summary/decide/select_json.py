"""A choice among arms as JSON: schema 1, with every number that decided."""

from collections.abc import Sequence
from typing import Any

from trustbench.summary.decide.comparison import DRAWS, SPREAD, Harm, Option
from trustbench.summary.decide.gate_wording import requirement, sentence, what
from trustbench.summary.decide.policy_risk import PolicyRisk
from trustbench.summary.decide.select import Selection
from trustbench.summary.render.escaping import json_text
from trustbench.summary.stats.effects import Effect
from trustbench.summary.table.risk import Interval

SCHEMA = 1


def document(selections: Sequence[Selection], risks: Sequence[PolicyRisk]) -> dict[str, Any]:
    """The JSON document; `effect` is positive if an arm is worse."""
    policy = selections[0].policy
    return {
        "schema": SCHEMA,
        "policy": policy.model_dump(mode="json"),
        "weights": policy.weights,
        "draws": {"n": DRAWS, "spread": SPREAD, "seed": 0},
        "selections": [_selection(s) for s in selections],
        "risks": [_risk(r) for r in risks],
    }


def text(selections: Sequence[Selection], risks: Sequence[PolicyRisk]) -> str:
    """The document as text; refuses NaN and infinity, which JSON does not have."""
    return json_text(document(selections, risks))


def _selection(s: Selection) -> dict[str, Any]:
    return {
        "dataset": s.dataset,
        "model": s.model,
        "variant": s.variant,
        "table": s.table,
        "chosen": s.chosen,
        "outcome": str(s.outcome),
        "compared": list(s.compared),
        "front": [o.label for o in s.options if o.on_front],
        "arms": [_option(o) for o in s.options],
        "notes": list(s.notes),
    }


def _option(o: Option) -> dict[str, Any]:
    return {
        "arm": o.label,
        "interventions": list(o.interventions),
        "records": list(o.records),
        "outcome": str(o.outcome),
        "below_floor": o.below_floor,
        "score": numbers(o.score),
        "unscored": o.unscored,
        "on_front": o.on_front,
        "dominated_by": list(o.dominated_by),
        "beyond_chosen": numbers(o.beyond_best),
        "tied": o.tied,
        "wins": o.wins,
        "harms": {target: _harm(h) for target, h in o.harms.items()},
        "decisions": [
            {
                "what": what(d),
                "asked": requirement(d),
                "outcome": str(d.outcome),
                "counts_as": str(d.counts_as),
                **(numbers(d.estimate.effect) or {"effect": None}),
                "sentence": sentence(d),
                "records": list(d.estimate.records),
            }
            for d in o.decisions
        ],
    }


def _harm(h: Harm) -> dict[str, Any]:
    return {
        "metric": h.metric,
        "regime": h.regime,
        "against": h.against,
        "reference": h.reference,
        "unacceptable": h.unacceptable,
        **(numbers(h.effect) or {"effect": None}),
        "reason": h.missing,
        "records": list(h.contrast.records) if h.contrast else [],
    }


def numbers(effect: Effect | None) -> dict[str, Any] | None:
    """An effect with its 95 % interval, n and pools."""
    if effect is None:
        return None
    return {
        "effect": effect.effect,
        "low": effect.low,
        "high": effect.high,
        "n": effect.n,
        "pools": effect.pools,
    }


def _risk(r: PolicyRisk) -> dict[str, Any]:
    return {
        "source": r.risk.source.value,
        "target": r.risk.target.value,
        "conditions": list(r.risk.conditions),
        "likelihood": _interval(r.risk.likelihood),
        "severity": _interval(r.risk.severity),
        "risk": _interval(r.risk.risk),
        "weight": r.weight,
        "weighted": _interval(r.weighted),
        "band": r.band.value,
        "bands_reached": [r.lowest.value, r.highest.value],
    }


def _interval(i: Interval) -> dict[str, float]:
    return {"value": i.value, "low": i.low, "high": i.high}
