"""The table as JSON: schema 1, a contract for scripts (DESIGN section 9); other keys are extra."""

from collections.abc import Sequence
from typing import Any

from trustbench.summary.render.escaping import json_text
from trustbench.summary.render.wording import bare
from trustbench.summary.stats.effects import Effect
from trustbench.summary.table.results import (
    ArmRow,
    CellResult,
    Estimate,
    FactorialContrast,
    MitigationResult,
    TableResult,
)
from trustbench.summary.table.risk import Risk, risks

SCHEMA = 1


def document(results: Sequence[TableResult]) -> dict[str, Any]:
    """The JSON document.

    Every cell has dataset, model, source, target, intervention, metric, unit, effect, low, high, n,
    verdict, reason, regime, dose, beyond_matched and records. A cell without a number has `effect:
    null` and a reason. If the metric compares groups, `beyond_chance` is the effect minus that of
    random groups, and the adjusted p values are those of both effects together. If `intervention`
    is not the `row_intervention`, `row_own` is the exploratory effect of the latter.
    """
    return {
        "schema": SCHEMA,
        "cells": [_cell(r, c) for r in results for c in r.cells],
        "utility": [_cell(r, c) for r in results for c in r.utility],
        "reseed": [_cell(r, c) for r in results for c in r.reseed],
        "arms": [_arm(r, a) for r in results for a in r.arms],
        "exploratory": [
            {**_where(r), "arm": e.arm, **_estimate(e)} for r in results for e in r.exploratory
        ],
        "factorials": [
            {
                **_where(r),
                "regime": d.regime,
                "factors": list(d.factors),
                "contrasts": [_factorial_contrast(c) for c in d.contrasts],
                "absent": dict(d.absent),
            }
            for r in results
            for d in r.factorials
        ],
        "mitigations": [{**_where(r), **_mitigation(m)} for r in results for m in r.mitigations],
        "risks": [_risk_of(r) for r in risks(results)],
        "tables": [
            {
                **_where(r),
                "table": r.table,
                "replicates": r.replicates,
                "seeds": list(r.seeds),
                "holm_family": r.family,
                "notes": list(r.notes),
            }
            for r in results
        ],
    }


def text(results: Sequence[TableResult]) -> str:
    """The document as text; refuses NaN and infinity, which JSON does not have."""
    return json_text(document(results))


def _where(result: TableResult) -> dict[str, Any]:
    return {"dataset": result.dataset, "model": result.model, "variant": result.variant}


def _numbers(effect: Effect | None) -> dict[str, Any]:
    return {
        "effect": effect.effect if effect else None,
        "low": effect.low if effect else None,
        "high": effect.high if effect else None,
        "n": effect.n if effect else None,
        "pools": effect.pools if effect else None,
    }


def _estimate(e: Estimate, adjusted: str = "p_bh") -> dict[str, Any]:
    return {
        "evaluator": e.metric.split("/", 1)[0] if e.metric else None,
        "metric": bare(e.metric) if e.metric else None,
        "against": bare(e.against) if isinstance(e.against, str) else e.against,
        "reference": e.reference,
        "settings": dict(e.settings),
        "unit": e.unit,
        **_numbers(e.effect),
        "verdict": e.verdict.text if e.verdict else None,
        "reason": e.reason,
        "below_floor": e.below_floor,
        "regime": e.regime,
        "dose": dict(e.dose),
        "dz": e.effect.dz if e.effect else None,
        "p": e.effect.p if e.effect else None,
        adjusted: e.p_adjusted,
        "treated_mean": e.treated_mean,
        "baseline_mean": e.reference_mean,
        "treated_chance": e.treated_chance,
        "baseline_chance": e.reference_chance,
        "beyond_chance": None if e.beyond_chance is None else _numbers(e.beyond_chance),
        "records": list(e.records),
    }


def _cell(result: TableResult, cell: CellResult) -> dict[str, Any]:
    registered, beyond = cell.registered, cell.beyond_matched
    return {
        **_where(result),
        "source": cell.source.value if cell.source else None,
        "target": cell.target,
        "intervention": cell.intervention,
        "arm": cell.estimate.arm,
        "row_intervention": cell.row,
        "row_own": None if cell.own is None else {"arm": cell.own.arm, **_estimate(cell.own)},
        **_estimate(cell.estimate, "p_holm"),
        "differences": list(cell.estimate.differences),
        "verdict_kind": cell.verdict.kind.value,
        "unreliable": cell.unreliable,
        "beyond_matched": None
        if beyond is None
        else {**_numbers(beyond), "p": beyond.p, "accuracy_gap": cell.matched_accuracy_gap},
        "beyond_reason": cell.beyond_reason,
        "delta": cell.measure.delta if cell.measure else None,
        "unacceptable": cell.measure.unacceptable if cell.measure else None,
        "contrast": registered.contrast if registered else "treated - baseline",
        "expected": registered.expected if registered else None,
        "references": list(registered.references) if registered else [],
        "note": registered.note if registered else None,
        "secondary": [_estimate(e) for e in cell.secondary],
        "doses": [{"arm": e.arm, **_estimate(e)} for e in cell.doses],
    }


def _factorial_contrast(c: FactorialContrast) -> dict[str, Any]:
    return {
        "target": c.target,
        "metric": bare(c.metric),
        "factors": list(c.factors),
        "kind": c.kind,
        **_numbers(c.effect),
        "p": c.effect.p,
        "p_bh": c.p_adjusted,
        "beyond_chance": None if c.beyond_chance is None else _numbers(c.beyond_chance),
        "verdict": c.verdict.text if c.verdict else None,
    }


def _mitigation(m: MitigationResult) -> dict[str, Any]:
    return {
        "source": m.source.value,
        "target": m.target.value,
        "harmful": m.harmful,
        "mitigating": m.mitigating,
        "metric": bare(m.metric),
        "before": _numbers(m.before),
        "after": _numbers(m.after),
        "change": _numbers(m.change),
        "answer": m.answer,
        "costs": {target: _numbers(e.effect) for target, e in m.costs.items()},
        "unpriced": dict(m.unpriced),
        "references": list(m.references),
        "reason": m.reason,
    }


def _risk_of(r: Risk) -> dict[str, Any]:
    return {
        "source": r.source.value,
        "target": r.target.value,
        "conditions": list(r.conditions),
        **{
            name: {"value": i.value, "low": i.low, "high": i.high}
            for name, i in (
                ("likelihood", r.likelihood),
                ("severity", r.severity),
                ("risk", r.risk),
            )
        },
        "band": r.band.value,
    }


def _arm(result: TableResult, arm: ArmRow) -> dict[str, Any]:
    return {
        **_where(result),
        "arm": arm.label,
        "interventions": list(arm.interventions),
        "dose": dict(arm.dose),
        "printed": arm.printed,
        "below_floor": arm.below_floor,
        "facts": dict(arm.facts),
        "privacy": [claim.model_dump() for claim in arm.privacy],
        "privacy_claims": list(arm.claims),
        "effects": {target: _estimate(e) for target, e in arm.estimates.items()},
    }
