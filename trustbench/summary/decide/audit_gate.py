"""Decides by a policy on an audit, on intervals over rows.

Absolute limits hold for the model; limits on change and verdicts need a reference model.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from trustbench.contracts.aspects import Aspect
from trustbench.errors import UserError
from trustbench.store.audits import AuditedEffect, AuditedMetric, AuditRecord, RowNumber
from trustbench.summary.decide.decisions import (
    ANSWERS,
    Decision,
    Outcome,
    decide,
    decide_verdict,
    needed,
    within_chance,
)
from trustbench.summary.decide.gate import Candidate, Gate
from trustbench.summary.decide.policy import TARGETS, Block, Bound, Limit, Policy
from trustbench.summary.decide.unreliable import trusted
from trustbench.summary.stats.effects import Effect, not_measured
from trustbench.summary.stats.multiplicity import holm
from trustbench.summary.table.contrast_estimates import judged
from trustbench.summary.table.registry import Measure, Table
from trustbench.summary.table.results import UTILITY, Estimate

SEEN_UNKNOWN = "it is unknown which rows the model has seen, so its numbers may be too good"


def gate_audit(record: AuditRecord, table: Table, policy: Policy) -> Gate:
    """The policy's decisions on an audited model.

    Raises:
        UserError: the policy limits only changes, and there is no reference.
    """
    if policy.only_change and record.reference is None:
        raise UserError(
            f"policy {policy.name} limits only changes; give the old model with --reference, or a "
            "policy that limits the model itself with at_most or at_least."
        )
    decided = _Audited(record, table, policy)
    candidate = Candidate(
        dataset=record.table.name,
        model=str(record.model["name"]),
        variant="",
        arm=str(record.model["name"]),
        against=str(record.reference["name"]) if record.reference else "no reference",
        dose={},
        replicates=record.rows.measured,
        records=(record.id,),
        decisions=tuple(decided.decisions()),
        unit="rows",
    )
    return Gate(policy, (candidate,), tuple(decided.notes()))


@dataclass(frozen=True)
class _Audited:
    record: AuditRecord
    table: Table
    policy: Policy
    verdicts: dict[str, Estimate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.record.reference is not None:
            self.verdicts.update(self._judged())

    def decisions(self) -> Iterator[Decision]:
        """Every bound of every limit, and every column whose verdict may block."""
        for limit in self.policy.limits:
            target, metric = self._named(limit)
            for bound in limit.bounds:
                if bound.kind != "worse_by_at_most":
                    yield self._own(limit, bound, target, metric)
                elif self.verdicts and limit.reference is None and limit.record is None:
                    yield self._change(limit, bound, target, metric)
        for rule in self.policy.block if self.verdicts else ():
            for target in TARGETS:
                if rule.covers(None, target):
                    yield self._block(rule, target)

    def notes(self) -> Iterator[str]:
        """What the policy demands and an audit does not decide."""
        limits = self.policy.limits
        changes = sum(x.worse_by_at_most is not None for x in limits)
        if self.record.reference is None and (changes or self.policy.block):
            yield (
                f"{changes} limits on change and {len(self.policy.block)} rules on verdicts are "
                "not decided: they need a model to compare with; give one with --reference."
            )
        beside = sum(x.reference is not None or x.record is not None for x in limits)
        if beside and self.record.reference is not None:
            yield (
                f"{beside} limits compare with an arm or a record and are not decided: an audit "
                "compares with a model only."
            )

    def _measures(self) -> dict[str, Measure]:
        """Target -> what its column measures on this task."""
        binary = len(self.record.table.classes) == 2
        columns = {a.value: self.table.columns[a].on(binary) for a in Aspect}
        return {**columns, UTILITY: self.table.utility}

    def _named(self, limit: Limit) -> tuple[str | None, str]:
        """(target, metric) of a limit; a target stands for its column's metric."""
        measures = self._measures()
        if limit.metric in measures:
            return limit.metric, measures[limit.metric].metric
        for target, measure in measures.items():
            if limit.metric in (measure.metric, *(s.metric for s in measure.secondary)):
                return target, limit.metric
        return None, limit.metric

    def _own(self, limit: Limit, bound: Bound, target: str | None, metric: str) -> Decision:
        estimate, found = self._blank(metric), self.record.metrics.get(metric)
        if found is None:
            return self._unmeasured(limit, estimate, target, bound)
        number = found.excess if limit.beyond_chance else found.number
        if number is None:
            raise UserError(
                f"policy {self.policy.name} sets `beyond_chance` for {metric}, which compares no "
                "groups; remove the key."
            )
        estimate = replace(
            estimate,
            unit=found.unit,
            effect=_effect(number, found.n),
            treated_mean=found.number.value,
            treated_chance=found.null,
        )
        return self._bounded(limit, estimate, bound, target, None)

    def _change(self, limit: Limit, bound: Bound, target: str | None, metric: str) -> Decision:
        estimate = self._difference(metric)
        if estimate.effect is None:
            return self._unmeasured(limit, estimate, target, bound)
        if limit.beyond_chance:
            if estimate.beyond_chance is None:
                raise UserError(
                    f"policy {self.policy.name} sets `beyond_chance` for {metric}, which compares "
                    "no groups; remove the key."
                )
            estimate = estimate.against_chance()
        return self._bounded(limit, estimate, bound, target, self._against)

    def _block(self, rule: Block, target: str) -> Decision:
        estimate = self.verdicts[target]
        delta = self._measures()[target].delta
        assert estimate.verdict is not None
        outcome = decide_verdict(estimate.verdict, estimate.effect, rule, delta)
        needs = estimate.verdict.needs if outcome is Outcome.INCONCLUSIVE else None
        return self._decision(rule, estimate, outcome, target, None, self._against, needs)

    def _bounded(
        self,
        limit: Limit,
        estimate: Estimate,
        bound: Bound,
        target: str | None,
        against: str | None,
    ) -> Decision:
        assert estimate.effect is not None
        outcome, needs = decide(estimate.effect, bound), None
        if outcome is Outcome.INCONCLUSIVE:
            needs = needed(estimate.effect, bound.value)
        elif (verdict := within_chance(outcome, estimate, bound)) is not None:
            outcome, needs = Outcome.INCONCLUSIVE, verdict.needs
            estimate = replace(estimate, verdict=verdict)
        return self._decision(limit, estimate, outcome, target, bound, against, needs)

    def _unmeasured(
        self, limit: Limit, estimate: Estimate, target: str | None, bound: Bound
    ) -> Decision:
        why = self._why(str(estimate.metric))
        estimate = replace(estimate, verdict=not_measured(why.removeprefix("needs ")))
        against = None if bound.kind != "worse_by_at_most" else self._against
        return self._decision(limit, estimate, Outcome.UNMEASURED, target, bound, against, None)

    def _decision(
        self,
        rule: Limit | Block,
        estimate: Estimate,
        outcome: Outcome,
        target: str | None,
        bound: Bound | None,
        against: str | None,
        needs: str | None,
    ) -> Decision:
        warning = None if self.record.rows.known else SEEN_UNKNOWN
        outcome = trusted(outcome, warning)
        counts = {
            Outcome.INCONCLUSIVE: self.policy.inconclusive,
            Outcome.UNMEASURED: self.policy.unmeasured,
            Outcome.UNRELIABLE: self.policy.unreliable,
        }
        return Decision(
            rule=rule,
            estimate=estimate,
            outcome=outcome,
            counts_as=ANSWERS[counts[outcome]] if outcome in counts else outcome,
            cell=target,
            bound=bound,
            against=against,
            needs=needs,
            unreliable=warning if outcome is Outcome.UNRELIABLE else None,
        )

    @property
    def _against(self) -> str:
        return str((self.record.reference or {"name": "the reference"})["name"])

    def _blank(self, metric: str) -> Estimate:
        return Estimate(str(self.record.model["name"]), {}, None, metric, records=(self.record.id,))

    def _difference(self, metric: str) -> Estimate:
        """The effect of replacing the reference by the model, in units of harm."""
        blank, found = self._blank(metric), self.record.effects.get(metric)
        if found is None:
            return replace(blank, verdict=not_measured(self._why(metric).removeprefix("needs ")))
        own: AuditedMetric = self.record.metrics[metric]
        return replace(
            blank,
            unit=own.unit,
            effect=_paired(found),
            treated_mean=own.number.value,
            reference_mean=found.reference,
            treated_chance=own.null,
            beyond_chance=_effect(beyond, found.n) if (beyond := found.beyond_chance) else None,
        )

    def _judged(self) -> dict[str, Estimate]:
        """Target -> the judged effect on its column, by Holm over those that are measured."""
        measures = self._measures()
        read = {t: self._difference(m.metric) for t, m in measures.items()}
        tested = {t: p for t, e in read.items() if (p := e.p) is not None}
        adjusted: Mapping[str, float] = dict(zip(tested, holm(list(tested.values())), strict=True))
        return {
            t: judged(e, measures[t].delta, adjusted[t], len(adjusted)) if t in adjusted else e
            for t, e in read.items()
        }

    def _why(self, metric: str) -> str:
        missing = {**self.record.missing, **self.record.without_effect}
        evaluator = metric.partition("/")[0]
        if metric in missing:
            return missing[metric].removeprefix(f"{metric.partition('/')[2]} ")
        same = [why for name, why in missing.items() if name.startswith(f"{evaluator}/")]
        return same[0] if same else missing.get("every metric", f"the evaluator {evaluator}")


def _effect(number: RowNumber, n: int) -> Effect:
    """An interval over rows as an effect: `sd` is that of one row."""
    return Effect(
        effect=number.value,
        low=number.low,
        high=number.high,
        n=n,
        sd=number.se * n**0.5,
        dz=None,
        p=math.erfc(abs(number.value) / number.se / math.sqrt(2)) if number.se else 1.0,
        low90=number.low90,
        high90=number.high90,
    )


def _paired(found: AuditedEffect) -> Effect:
    return replace(_effect(found.number, found.n), p=found.p)
