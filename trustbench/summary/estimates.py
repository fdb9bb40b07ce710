"""Effects of one group's arms: the utility floor, the exploratory grid, and single estimates."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from trustbench.aspects import Aspect
from trustbench.summary.contrasts import Contrast, between, measurement, metrics_of, within
from trustbench.summary.effects import FDR, Kind, Verdict, judge, paired_effect
from trustbench.summary.grouping import ArmRecords, Group
from trustbench.summary.multiplicity import benjamini_hochberg
from trustbench.summary.registry import Measure, Table
from trustbench.summary.results import Estimate

GridKey = tuple[str, str, str, str | None]


@dataclass(frozen=True)
class Estimator:
    """Effects within one group of arms, each computed once."""

    group: Group
    table: Table

    @property
    def binary(self) -> bool:
        """Whether the task has two classes."""
        return self.group.classes == 2

    def learnt_nothing(self, arm: ArmRecords) -> Verdict | None:
        """The verdict on an arm whose balanced accuracy is at chance; None for any other."""
        floor, classes = self.table.floor, self.group.classes
        means = [
            sum(m.values) / len(m.values)
            for m in (
                measurement(r, floor.metric, self.group.evaluations, arm.label)
                for r in arm.records.values()
            )
            if not isinstance(m, Verdict)
        ]
        if not means or classes is None:
            return None  # the table's notes say that the floor was not checked
        mean, chance = sum(means) / len(means), 1 / classes
        if mean > chance + floor.above_chance:
            return None
        name = floor.metric.split("/", 1)[1].replace("_", " ")
        return Verdict(
            Kind.NOT_APPLICABLE,
            f"learnt nothing: {name} {mean:.3f}, chance {chance:.3f}",
            f"{arm.label} ({arm.regime}) learnt nothing: {name} {mean:.3f} is not "
            f"{floor.above_chance:g} above chance {chance:.3f}",
        )

    def contrast(
        self, arm: ArmRecords, metric: str, against: str | None = None
    ) -> Contrast | Verdict:
        """Observed minus null within the arm, or the arm minus its baseline."""
        baseline = self.group.baseline(arm.regime)
        if against is not None:
            found = within(arm, metric, against, self.group.evaluations)
        else:
            found = between(arm, baseline, metric, self.group.evaluations)
        if isinstance(found, Verdict) or _evaluator(metric) == _evaluator(self.table.floor.metric):
            return found
        for each in (arm, baseline):
            floored = self.learnt_nothing(each) if each else None
            if floored:
                return floored
        return found

    @cached_property
    def grid(self) -> dict[GridKey, Estimate]:
        """Every effect that the records hold, with Benjamini-Hochberg p values; no verdicts."""
        found = {}
        for arm, metric, against in self._grid_metrics():
            contrast = self.contrast(arm, metric, against)
            if isinstance(contrast, Contrast) and not self._by_construction(arm, contrast):
                key = (arm.key, arm.regime, metric, against)
                found[key] = _estimate(arm, metric, against, contrast)
        adjusted = benjamini_hochberg([e.effect.p for e in found.values() if e.effect])
        return {
            key: replace(e, p_adjusted=p)
            for (key, e), p in zip(found.items(), adjusted, strict=True)
        }

    def _grid_metrics(self) -> Iterator[tuple[ArmRecords, str, str | None]]:
        for arm in self.group.treated():
            for metric in metrics_of(arm, self.group.evaluations):
                yield arm, metric, None
            for measure in self.row_measures(arm).values():
                if measure is None or arm.regime != measure.regime:
                    continue
                named = [(measure.metric, measure.against)]
                named += [(s.metric, s.against) for s in measure.secondary]
                yield from ((arm, m, against) for m, against in named if against is not None)

    def _by_construction(self, arm: ArmRecords, contrast: Contrast) -> bool:
        """Whether an arm that shares the baseline's replicates also shares this metric."""
        baseline = self.group.baseline(arm.regime)
        fits = {r.fit for r in arm.records.values()}
        shared = baseline is not None and fits == {r.fit for r in baseline.records.values()}
        return shared and not contrast.differences.any()

    def row_measures(self, arm: ArmRecords) -> dict[Aspect, Measure | None]:
        """What each column measures for an arm; None where its cell needs something first.

        An arm with one intervention is measured as its aspect's row registers; a combination
        by the columns.
        """
        aspect = arm.interventions[0].aspect
        if len(arm.interventions) == 1 and aspect in {a.value for a in Aspect}:
            source = Aspect(str(aspect))
            return {t: self.table.cell(source, t).measure(self.binary) for t in Aspect}
        return {t: self.table.columns[t].on(self.binary) for t in Aspect}

    def explore(self, arm: ArmRecords, measure: Measure) -> Estimate:
        """The effect on a measure, judged with the grid's p values."""
        estimate = self.raw(arm, measure)
        if estimate.effect is None:
            return estimate
        known = self.grid.get((arm.key, arm.regime, measure.metric, measure.against))
        p = known.p_adjusted if known and known.p_adjusted is not None else estimate.effect.p
        verdict = judge(estimate.effect, measure.delta, p, alpha=FDR)
        return replace(estimate, p_adjusted=p, verdict=verdict)

    def raw(self, arm: ArmRecords, measure: Measure) -> Estimate:
        """The effect on a measure, not judged yet; with the verdict where there is none."""
        return _estimate(
            arm,
            measure.metric,
            measure.against,
            self.contrast(arm, measure.metric, measure.against),
        )

    def unreliable(self, arm: ArmRecords, measure: Measure) -> str | None:
        """Where the measure's warning is above zero, in the arm or its baseline; or None."""
        if measure.unreliable_if is None:
            return None
        signs = []
        for each in (arm, self.group.baseline(arm.regime)):
            series = [
                measurement(r, measure.unreliable_if, self.group.evaluations, "")
                for r in (each.records.values() if each else ())
            ]
            values = [v for m in series if not isinstance(m, Verdict) for v in m.values]
            raised = sum(v > 0 for v in values)
            if raised and each:
                signs.append(f"{raised} of {len(values)} replicates of {each.label}")
        return f"{measure.unreliable_if} in {' and '.join(signs)}" if signs else None

    def beside(self, arm: ArmRecords, measure: Measure) -> tuple[Estimate, ...]:
        """The effects on a measure's secondary metrics, with the grid's p values."""
        out = []
        for each in measure.secondary:
            known = self.grid.get((arm.key, arm.regime, each.metric, each.against))
            contrast = self.contrast(arm, each.metric, each.against)
            out.append(known or _estimate(arm, each.metric, each.against, contrast))
        return tuple(out)


def _evaluator(metric: str) -> str:
    return metric.split("/", 1)[0]


def _estimate(
    arm: ArmRecords, metric: str, against: str | None, contrast: Contrast | Verdict
) -> Estimate:
    empty = Estimate(
        arm=arm.label, dose=arm.dose, regime=arm.regime, metric=metric, against=against
    )
    if isinstance(contrast, Verdict):
        return replace(empty, verdict=contrast)
    return replace(
        empty,
        unit=contrast.unit,
        effect=paired_effect(contrast.differences),
        treated_mean=contrast.treated_mean,
        reference_mean=contrast.reference_mean,
        records=contrast.records,
    )
