"""Past durations of arms: medians over records, absent if there are none."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from trustbench.config.arms import Arm
from trustbench.store.records import Record

Key = tuple[str, str, str, str, int, tuple[str, ...]]


class Past:
    """Seconds of finished arms, by data set, model, regime, control, replicates and methods."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.arms: dict[Key, list[float]] = defaultdict(list)
        self.evaluators: dict[tuple[Key, str], list[float]] = defaultdict(list)
        for record in records:
            if record.status == "ok":
                key = _of_record(record)
                self.arms[key].append(record.seconds)
                for evaluation in record.evaluations.values():
                    name = evaluation.evaluator.name
                    self.evaluators[key, name].append(evaluation.seconds)

    def whole(self, arm: Arm) -> float | None:
        """The median seconds of such arms; None without any."""
        found = self.arms.get(_of_arm(arm))
        return median(found) if found else None

    def of_evaluators(self, arm: Arm, names: Sequence[str]) -> float | None:
        """The sum of their median seconds on such arms; None if one of them never ran there."""
        found = [self.evaluators.get((_of_arm(arm), name)) for name in names]
        return sum(median(f) for f in found if f) if all(found) else None


def _of_record(record: Record) -> Key:
    arm = record.arm
    methods = tuple(sorted(i.name for i in arm.interventions))
    regime = str(arm.training["regime"])
    return arm.dataset.name, arm.model.name, regime, arm.control, record.replicates, methods


def _of_arm(arm: Arm) -> Key:
    methods = tuple(sorted(i.name for i in arm.interventions))
    regime, count = arm.training.regime, arm.protocol.replicates
    return arm.dataset.name, arm.model.name, regime, arm.control, count, methods


def seconds_text(seconds: float | None) -> str:
    """An estimate as printed in the plan.

    >>> seconds_text(None), seconds_text(0.0), seconds_text(0.2), seconds_text(12.34)
    ('unknown', '0', '< 1', '12')
    """
    if seconds is None:
        return "unknown"
    return "< 1" if 0 < seconds < 1 else f"{seconds:z.0f}"
