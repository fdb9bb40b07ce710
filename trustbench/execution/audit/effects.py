"""Two given models on the same rows: the effect of replacing one by the other, row by row."""

from collections.abc import Mapping
from dataclasses import dataclass

from trustbench.contracts import Array
from trustbench.execution.audit.intervals import RowInterval, bootstrap, two_sided_p
from trustbench.execution.audit.measure import RowMetric


@dataclass(frozen=True)
class RowEffect:
    """The new model minus the old one on the same rows, in units of harm: positive is worse."""

    name: str
    interval: RowInterval
    p: float
    n: int
    beyond_chance: RowInterval | None
    """The effect on (metric - null), for a metric over groups."""


def effects(
    new: Mapping[str, RowMetric], old: Mapping[str, RowMetric]
) -> tuple[dict[str, RowEffect], dict[str, str]]:
    """(effects, reasons why the others have none), by metric of the new model.

    Both models were measured on the same draws, so a draw's difference is one of the same rows.
    """
    found, missing = {}, {}
    for name, own in new.items():
        if name not in old:
            missing[name] = "the reference does not have it"
        elif own.draws is None or old[name].draws is None:
            missing[name] = "has no paired interval over rows"
        else:
            found[name] = _effect(own, old[name])
    return found, missing


def _effect(new: RowMetric, old: RowMetric) -> RowEffect:
    sign = -1.0 if new.declared.higher_is_better else 1.0
    interval = bootstrap(sign * (new.value - old.value), sign * (_draws(new) - _draws(old)))
    beyond = None
    if new.null is not None and old.null is not None:
        excess = [
            (m.value - m.null, _draws(m) - _null_draws(m)) for m in (new, old) if m.null is not None
        ]
        (a, b), (c, d) = excess
        beyond = bootstrap(sign * (a - c), sign * (b - d))
    return RowEffect(new.name, interval, two_sided_p(interval), new.n, beyond)


def _draws(metric: RowMetric) -> Array:
    assert metric.draws is not None
    return metric.draws


def _null_draws(metric: RowMetric) -> Array:
    assert metric.null_draws is not None
    return metric.null_draws
