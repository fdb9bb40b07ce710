"""The utility floor: arms at chance, and arms below a plain logistic regression on their rows.

The effects of an arm at chance on other columns mean nothing, and neither does a difference from a
baseline that learnt less than a logistic regression: a method may look better merely by
undertraining less. A treated arm below the regression keeps its effects, since lost utility may be
the cost of a method; it is marked wherever they are shown.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from trustbench.store.records import Record
from trustbench.summary.stats.effects import Kind, Verdict
from trustbench.summary.table.contrasts import measurement
from trustbench.summary.table.grouping import ArmRecords, Group, group_records
from trustbench.summary.table.table_file import Floor, Plain

WHAT_TO_DO = (
    "no difference from a baseline that learns less than a plain logistic regression on the same "
    "rows says what a method does; train it for longer (training.epochs) or at another "
    "training.lr, or choose another model"
)


class _Short(NamedTuple):
    """A mean that does not reach the regression's."""

    name: str
    mean: float
    regression: float


@dataclass(frozen=True)
class UtilityFloor:
    """The floor of a table within one group of arms."""

    floor: Floor
    group: Group
    _means: dict[tuple[str, ...], float | None] = field(default_factory=dict, repr=False)
    _below: dict[tuple[str, ...], str | None] = field(default_factory=dict, repr=False)

    def mean(self, arm: ArmRecords, metric: str) -> float | None:
        """The mean of a metric over an arm's seeds and replicates; None if it has none."""
        key = (metric, *arm.ids)
        if key not in self._means:
            found = [
                measurement(r, metric, self.group.evaluations, "") for r in arm.records.values()
            ]
            means = [sum(m.values) / len(m.values) for m in found if not isinstance(m, Verdict)]
            self._means[key] = sum(means) / len(means) if means else None
        return self._means[key]

    @property
    def chance(self) -> float | None:
        """The balanced accuracy of a guess; None if no arm reached the problem."""
        return 1 / self.group.classes if self.group.classes else None

    def learnt_nothing(self, arm: ArmRecords) -> Verdict | None:
        """The verdict on an arm whose balanced accuracy is at chance; None for all others."""
        mean, chance = self.mean(arm, self.floor.metric), self.chance
        if mean is None or chance is None:
            return None  # the table's notes say that the floor was not checked
        if mean > chance + self.floor.above_chance:
            return None
        name = _words(self.floor.metric)
        return Verdict(
            Kind.NOT_APPLICABLE,
            f"learnt nothing: {name} {mean:z.3f}, chance {chance:z.3f}",
            f"{arm.label} ({arm.regime}) learnt nothing: {name} {mean:z.3f} is not "
            f"{self.floor.above_chance:zg} above chance {chance:z.3f}",
        )

    def below(self, arm: ArmRecords) -> str | None:
        """By how much an arm misses the logistic regression minus the margin; None if it does not.

        If several pairs are registered for the regime, an arm is below the floor if it is below on
        all of them. It never is if the regression itself is at chance.
        """
        key = (arm.regime, *arm.ids)
        if key not in self._below:
            self._below[key] = self._missed(arm)
        return self._below[key]

    def _missed(self, arm: ArmRecords) -> str | None:
        short = self._short(arm)
        if not short:
            return None
        margin = f"less {self.floor.margin:zg}"
        return " and ".join(
            f"{s.name} {s.mean:z.3f} < logistic regression {s.regression:z.3f} {margin}"
            for s in short
        )

    def below_in(self, arms: Iterable[ArmRecords]) -> str | None:
        """By how much an arm misses the floor in each regime; None if it misses it in none."""
        return "; ".join(f"{a.regime}: {b}" for a in arms if (b := self.below(a))) or None

    def _short(self, arm: ArmRecords) -> list[_Short]:
        if not self._regression_learns(arm):
            return []
        found = []
        for pair in self.pairs(arm.regime):
            mean, regression = self.mean(arm, pair.metric), self.mean(arm, pair.logistic)
            if mean is None or regression is None or mean >= regression - self.floor.margin:
                return []
            found.append(_Short(_words(pair.metric), mean, regression))
        return found

    def _regression_learns(self, arm: ArmRecords) -> bool:
        """Whether the regression is above chance, as any arm that learns something has to be."""
        mean, chance = self.mean(arm, self.floor.logistic), self.chance
        if mean is None or chance is None:
            return False
        return mean > chance + self.floor.above_chance

    def pairs(self, regime: str) -> tuple[Plain, ...]:
        """The references of an arm of a regime."""
        return next((pairs for name, pairs in self.floor.below.items() if name == regime), ())

    def undertrained(self, baseline: ArmRecords | None) -> Verdict | None:
        """The verdict on every difference from a baseline below the regression; or None."""
        below = self.below(baseline) if baseline else None
        if below is None:
            return None
        return Verdict(Kind.NOT_APPLICABLE, f"baseline undertrained: {below}", WHAT_TO_DO)

    def mark(self, arm: ArmRecords, other: ArmRecords | None = None) -> str | None:
        """Marks a difference of two arms: which of them are below the floor, and by how much.

        `other` may be the baseline, whose differences are not effects at all.
        """
        named = {a.label: b for a in (arm, other) if a is not None and (b := self.below(a))}
        if list(named) == [arm.label]:
            return named[arm.label]
        return " and ".join(f"{label}: {below}" for label, below in named.items()) or None

    def notes(self) -> Iterator[str]:
        """A sentence for each arm below the floor, and for everything that was not checked.

        If the baseline is below it, the verdicts of the table say so, and no arm is listed. A
        matched control is as good as its arm on purpose.
        """
        for arm in self.group.arms:
            below = self.below(arm)
            void = self.undertrained(self.group.baseline(arm.regime)) is not None
            if below and not void and arm.control != "matched":
                control = "" if arm.control == "none" else f", {arm.control} control"
                yield (
                    f"{arm.label} ({arm.regime}{control}) is below the utility floor: {below}; its "
                    "effects are those of models that lost this much utility."
                )
        yield from self._unchecked()

    def _unchecked(self) -> Iterator[str]:
        metric, logistic = self.floor.metric, self.floor.logistic
        if metric.split("/", 1)[0] not in self.group.evaluations:
            yield f"The utility floor was not checked: no arm has {metric}; add evaluator=utility."
        elif all(self.mean(arm, logistic) is None for arm in self.group.arms):
            yield (
                f"The utility floor was not checked against a logistic regression: no arm has "
                f"{logistic}; run the sweep again with evaluator=utility of this version."
            )


def of_record(record: Record, floor: Floor, evaluations: Collection[str]) -> str | None:
    """By how much the arm of one record misses the floor, by these evaluations; or None."""
    group = group_records([record], evaluations)[0]
    return UtilityFloor(floor, group).below(group.arms[0])


def _words(metric: str) -> str:
    """A metric's name in words.

    >>> _words("utility/balanced_accuracy")
    'balanced accuracy'
    """
    return metric.split("/", 1)[1].replace("_", " ")
