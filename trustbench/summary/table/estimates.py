"""Effects of one group's arms: the exploratory grid, and single estimates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

from trustbench.contracts.aspects import Aspect
from trustbench.store.labels import show
from trustbench.store.records import PluginSpec, Scalar
from trustbench.summary.stats.effects import FDR, Verdict, not_measured
from trustbench.summary.stats.multiplicity import benjamini_hochberg
from trustbench.summary.stats.verdicts import claim_p
from trustbench.summary.table.contrast_estimates import judged
from trustbench.summary.table.contrasts import Contrast, between, measurement, metrics_of, within
from trustbench.summary.table.grouping import ArmRecords, Group
from trustbench.summary.table.registry import Measure, Table
from trustbench.summary.table.results import Estimate
from trustbench.summary.table.utility_floor import UtilityFloor


class Compared(NamedTuple):
    """What is compared in an arm: a metric, and its reference.

    `against` is measured on the same arm (or is a number); `reference` names the intervention whose
    arm replaces the baseline. Without either, the reference is the baseline.
    """

    metric: str
    against: str | float | None = None
    reference: str | None = None


GridKey = tuple[str, str, Compared]


@dataclass(frozen=True)
class Estimator:
    """Effects within one group of arms, each computed once."""

    group: Group
    table: Table

    @property
    def binary(self) -> bool:
        """Whether the task has two classes."""
        return self.group.classes == 2

    @cached_property
    def floor(self) -> UtilityFloor:
        """The table's utility floor in this group."""
        return UtilityFloor(self.table.floor, self.group)

    def contrast(self, arm: ArmRecords, reading: Compared) -> Contrast | Verdict:
        """Observed minus null within the arm, or the arm minus its baseline or reference."""
        metric, against, name = reading
        other = self.reference(arm, name)
        if isinstance(other, Verdict):
            return other
        evaluations = self.group.evaluations
        if against is not None:
            found = within(arm, metric, against, evaluations)
        elif name is None:
            found = between(arm, other, metric, evaluations)
        else:
            found = between(arm, other, metric, evaluations, f"the reference arm {name}")
        if isinstance(found, Verdict):
            return found
        return self.voided(metric, arm, other) or found

    def voided(
        self, metric: str, arm: ArmRecords, other: ArmRecords | None = None
    ) -> Verdict | None:
        """The verdict that replaces a difference between arms; None without one.

        It applies to any metric if the baseline is undertrained, and to metrics that do not measure
        utility if one of the arms learnt nothing.
        """
        undertrained = self.floor.undertrained(self.group.baseline(arm.regime))
        if undertrained or _evaluator(metric) == _evaluator(self.table.floor.metric):
            return undertrained
        arms = [arm, *([other] if other else [])]
        return next((v for a in arms if (v := self.floor.learnt_nothing(a))), None)

    def reference(self, arm: ArmRecords, name: str | None) -> ArmRecords | Verdict | None:
        """The arm that replaces the baseline: the one with the same doses where both have them."""
        if name is None:
            return self.group.baseline(arm.regime)
        arms = [a for a in self.group.alone(name) if a.regime == arm.regime]
        own = {k: v for i in arm.interventions for k, v in i.params.items()}
        same = [
            a for a in arms if all(own.get(k, v) == v for k, v in a.interventions[0].dose.items())
        ]
        if len(same) == 1:
            return same[0]
        doses = arms[0].interventions[0].dose if arms else {}
        wanted = "".join(f" {k}={show(own[k])}" for k in doses if k in own)
        return not_measured(f"one arm intervention={name}{wanted}, training={arm.regime}")

    @cached_property
    def grid(self) -> dict[GridKey, Estimate]:
        """Every effect in the records, with Benjamini-Hochberg p values; no verdicts."""
        found: dict[GridKey, tuple[ArmRecords, Contrast]] = {}
        for arm, reading in self._readings():
            contrast = self.contrast(arm, reading)
            if isinstance(contrast, Contrast) and contrast.degenerate is None:
                found[(arm.key, arm.regime, reading)] = arm, contrast
        adjusted = benjamini_hochberg(
            [claim_p(c.effect, c.beyond_chance) for _, c in found.values()]
        )
        return {
            key: self._estimate(arm, key[2], contrast, p)
            for (key, (arm, contrast)), p in zip(found.items(), adjusted, strict=True)
        }

    def _readings(self) -> Iterator[tuple[ArmRecords, Compared]]:
        for arm in self.group.treated():
            for metric in metrics_of(arm, self.group.evaluations):
                yield arm, Compared(metric)
            for measure, reference in self.row_measures(arm).values():
                if measure is not None:
                    yield from ((arm, r) for r in _named(arm, measure, reference))

    def row_measures(self, arm: ArmRecords) -> dict[Aspect, tuple[Measure | None, str | None]]:
        """What each column measures for an arm, and what replaces the baseline.

        There is no measure if the cell needs something first.

        An arm with one intervention is measured as its aspect's row registers; a combination, and a
        method without the cell's own reference, by the columns.
        """
        aspect = arm.interventions[0].aspect
        columns: dict[Aspect, tuple[Measure | None, str | None]]
        columns = {t: (self.table.columns[t].on(self.binary), None) for t in Aspect}
        if len(arm.interventions) > 1 or aspect not in {a.value for a in Aspect}:
            return columns
        for target in Aspect:
            cell = self.table.cell(Aspect(str(aspect)), target)
            if cell.reference is None or cell.intervention == arm.interventions[0].name:
                columns[target] = cell.measure(self.binary), cell.reference
        return columns

    def explore(self, arm: ArmRecords, measure: Measure, reference: str | None = None) -> Estimate:
        """The effect on a measure, judged with the grid's p values."""
        reading = Compared(measure.metric, measure.against, reference)
        known = self.grid.get((arm.key, arm.regime, reading))
        if known is not None and self.group.find(arm.regime, arm.key, "none") is arm:
            return judged(known, measure.delta, known.p_adjusted, alpha=FDR)
        estimate = self.read(arm, reading)
        if estimate.effect is None:
            return estimate
        p = known.p_adjusted if known and known.p_adjusted is not None else estimate.p
        return judged(estimate, measure.delta, p, alpha=FDR)

    def raw(self, arm: ArmRecords, measure: Measure, reference: str | None = None) -> Estimate:
        """The effect on a measure, not judged yet; or the verdict in its place."""
        return self.read(arm, Compared(measure.metric, measure.against, reference))

    def read(self, arm: ArmRecords, reading: Compared) -> Estimate:
        """An effect, not judged yet; or the verdict in its place."""
        return self._estimate(arm, reading, self.contrast(arm, reading))

    def printed(
        self, intervention: str, regime: str, point: Mapping[str, Scalar]
    ) -> ArmRecords | Verdict:
        """The printed arm of a method: its only dose, or the operating point."""
        arms = self.group.alone(intervention)
        if not arms:
            return not_measured(f"intervention={intervention}")
        keys = {a.key for a in arms}
        if len(keys) > 1:
            keys = {a.key for a in arms if at(a.interventions[0], point)}
        if len(keys) != 1:
            wanted = " ".join(f"{k}={show(v)}" for k, v in point.items()) or "registered"
            labels = ", ".join(dict.fromkeys(a.label for a in arms))
            return not_measured(f"one arm at the operating point {wanted}; measured: {labels}")
        found = self.group.find(regime, next(iter(keys)), "none")
        return found or not_measured(f"intervention={intervention}, training={regime}")

    def unreliable(self, arm: ArmRecords, measure: Measure) -> str | None:
        """Where the measure's warning is above zero, in the arm or its baseline; or None."""
        baseline = self.group.baseline(arm.regime)
        return self.warned(measure.unreliable_if, [arm, *([baseline] if baseline else [])])

    def warned(self, warning: str | None, arms: Sequence[ArmRecords]) -> str | None:
        """The replicates of these arms in which a warning is above zero; None without any."""
        if warning is None:
            return None
        signs = []
        for each in arms:
            series = [
                measurement(r, warning, self.group.evaluations, "") for r in each.records.values()
            ]
            values = [v for m in series if not isinstance(m, Verdict) for v in m.values]
            raised = sum(v > 0 for v in values)
            if raised:
                signs.append(f"{raised} of {len(values)} replicates of {each.label}")
        return f"{warning} in {' and '.join(signs)}" if signs else None

    def combined(self, names: Sequence[str], regime: str) -> ArmRecords | Verdict:
        """The arm of a list of methods, each at its row's operating point if doses differ."""
        wanted = sorted(names)
        arms = [
            a
            for a in self.group.treated()
            if a.regime == regime and sorted(i.name for i in a.interventions) == wanted
        ]
        if len(arms) > 1:
            points = {c.intervention: c.operating_point for c in self.table.cells}
            arms = [a for a in arms if all(at(i, points.get(i.name, {})) for i in a.interventions)]
        if len(arms) == 1:
            return arms[0]
        return not_measured(f"one arm intervention=[{','.join(names)}], training={regime}")

    def against(
        self, arm: ArmRecords, other: ArmRecords, metric: str, name: str | None = None
    ) -> Contrast | Verdict:
        """An arm minus another one, by replicate; `name` is the other's name in reasons."""
        found = between(arm, other, metric, self.group.evaluations, name or other.label)
        return found if isinstance(found, Verdict) else self.voided(metric, arm, other) or found

    def beside(
        self,
        arm: ArmRecords | None,
        measure: Measure,
        point: Mapping[str, Scalar],
        reference: str | None = None,
    ) -> tuple[Estimate, ...]:
        """The effects on a measure's secondary metrics, with the grid's p values.

        `arm` is the cell's own, None if it was not measured; a secondary metric may name another
        method or regime.
        """
        found = []
        for each in measure.secondary:
            regime = each.regime or measure.regime
            of: ArmRecords | Verdict | None = arm
            if each.intervention is not None:
                of = self.printed(each.intervention, regime, each.operating_point or {})
            elif arm is not None and arm.regime != regime:
                of = self.group.find(regime, arm.key, "none")
            if not isinstance(of, ArmRecords):
                continue  # the cell's own reason says what is missing
            own = reference if each.intervention is None else None
            inside = each.against is not None
            reading = Compared(each.metric, each.against, None if inside else each.reference or own)
            known = self.grid.get((of.key, of.regime, reading))
            found.append(known or self.read(of, reading))
        return tuple(found)

    def _estimate(
        self,
        arm: ArmRecords,
        reading: Compared,
        contrast: Contrast | Verdict,
        p_adjusted: float | None = None,
    ) -> Estimate:
        """The estimate of a contrast, or with the verdict in its place."""
        blank = partial(
            Estimate,
            arm=arm.label,
            dose=arm.dose,
            regime=arm.regime,
            metric=reading.metric,
            against=reading.against,
            reference=reading.reference,
            settings=self.group.settings.get(_evaluator(reading.metric), {}),
        )
        if isinstance(contrast, Verdict):
            return blank(verdict=contrast)
        if contrast.degenerate is not None:
            return blank(verdict=contrast.degenerate)
        other = self.reference(arm, reading.reference) if reading.reference else None
        below = self.floor.mark(arm, other if isinstance(other, ArmRecords) else None)
        return blank(below_floor=below, p_adjusted=p_adjusted, **vars(contrast.numbers))


def _evaluator(metric: str) -> str:
    return metric.split("/", 1)[0]


def at(spec: PluginSpec, point: Mapping[str, Scalar]) -> bool:
    """Whether an intervention has these hyper-parameters."""
    return all({**spec.params, **spec.dose}.get(k) == v for k, v in point.items())


def _named(arm: ArmRecords, measure: Measure, reference: str | None) -> Iterator[Compared]:
    """The registered readings of an arm that are not a plain difference from the baseline."""
    if arm.regime == measure.regime and (measure.against is not None or reference is not None):
        yield Compared(measure.metric, measure.against, reference)
    for each in measure.secondary:
        own = each.intervention is None or [each.intervention] == [
            i.name for i in arm.interventions
        ]
        if not own or arm.regime != (each.regime or measure.regime):
            continue
        inherited = reference if each.intervention is None else None
        compared = None if each.against is not None else each.reference or inherited
        if each.against is not None or compared is not None:
            yield Compared(each.metric, each.against, compared)
