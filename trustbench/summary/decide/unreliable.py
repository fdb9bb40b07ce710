"""Measurements that are known to mislead, and the outcomes that rest on them."""

from collections.abc import Iterable, Mapping

from trustbench.store.records import Record
from trustbench.summary.decide.decisions import Outcome
from trustbench.summary.table.estimates import Estimator
from trustbench.summary.table.grouping import ArmRecords
from trustbench.summary.table.registry import Measure
from trustbench.summary.table.results import Estimate


def warned(
    estimator: Estimator,
    measures: Iterable[Measure],
    estimate: Estimate,
    stored: Mapping[str, Record],
) -> str | None:
    """Returns the warning that a metric misleads on the records behind an effect, or None.

    The warnings are those that `measures` register for the metric, in any column or cell; their
    secondary metrics of the same evaluator share them. `stored` are records beside the group's.
    """
    names = dict.fromkeys(m.unreliable_if for m in measures if _misled(m, str(estimate.metric)))
    arms = [a for a in estimator.group.arms if set(a.ids) & set(estimate.records)]
    beside = set(estimate.records) - {i for a in arms for i in a.ids}
    arms += [of_record(stored[i]) for i in sorted(beside & set(stored))]
    found = [w for name in names if (w := estimator.warned(name, arms)) is not None]
    return " and ".join(found) or None


def _misled(measure: Measure, metric: str) -> bool:
    """Whether the warning of a measure applies to this metric."""
    if measure.unreliable_if is None or measure.metric == metric:
        return measure.unreliable_if is not None
    same = metric.partition("/")[0] == measure.unreliable_if.partition("/")[0]
    return same and metric in {s.metric for s in measure.secondary}


def trusted(outcome: Outcome, warning: str | None) -> Outcome:
    """The outcome, where a pass that rests on a misleading measurement is not a pass."""
    return Outcome.UNRELIABLE if warning and outcome is Outcome.PASS else outcome


def of_record(record: Record) -> ArmRecords:
    """A stored record as an arm of its own."""
    interventions, regime = tuple(record.arm.interventions), str(record.arm.training["regime"])
    records = {record.arm.seed: record}
    return ArmRecords(interventions, record.arm.control, regime, records, f"record {record.id}")
