"""The numbers of an audit as its record holds them."""

from trustbench.execution.audit.effects import RowEffect
from trustbench.execution.audit.intervals import RowInterval
from trustbench.execution.audit.measure import RowMetric
from trustbench.store.audits import AuditedEffect, AuditedMetric, RowNumber


def _number(interval: RowInterval) -> RowNumber:
    return RowNumber(**vars(interval))


def recorded_metric(metric: RowMetric) -> AuditedMetric:
    """A metric as the record of an audit holds it."""
    excess = metric.excess
    return AuditedMetric(
        number=_number(metric.interval),
        n=metric.n,
        unit=metric.declared.unit,
        higher_is_better=metric.declared.higher_is_better,
        sentence=metric.declared.sentence,
        diagnostic=metric.declared.diagnostic,
        null=metric.null,
        excess=None if excess is None else _number(excess),
    )


def recorded_effect(effect: RowEffect, reference: float) -> AuditedEffect:
    """An effect as the record holds it, with the metric of the reference."""
    beyond = effect.beyond_chance
    return AuditedEffect(
        number=_number(effect.interval),
        p=effect.p,
        n=effect.n,
        reference=reference,
        beyond_chance=None if beyond is None else _number(beyond),
    )
