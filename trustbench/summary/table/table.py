"""Records -> the 5x5 table: a pure function, so that any machine can rebuild it from the files."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from trustbench.contracts.aspects import Aspect
from trustbench.store.labels import show
from trustbench.store.records import Record, Scalar
from trustbench.summary.stats.effects import Verdict, not_measured
from trustbench.summary.table.audit_power import audit_notes
from trustbench.summary.table.contrast_estimates import judged_alone, judged_together
from trustbench.summary.table.dp_noise import FACT, noise_notes
from trustbench.summary.table.equal_arms import equal_notes
from trustbench.summary.table.estimates import Estimator, at
from trustbench.summary.table.factorial import factorials
from trustbench.summary.table.grouping import ArmRecords, Group, group_records
from trustbench.summary.table.mitigations import mitigations
from trustbench.summary.table.registry import Cell, Measure, Table
from trustbench.summary.table.results import (
    UTILITY,
    ArmRow,
    CellResult,
    Estimate,
    TableResult,
    metrics_of,
)


def summarize(
    records: Sequence[Record], table: Table, evaluations: Collection[str] | None = None
) -> list[TableResult]:
    """Builds one table for each dataset and model among the records, sorted by their names.

    `evaluations` are the evaluation ids that may be read (None: all). Raises UserError if the
    records of one table cannot be compared, but never for an arm that failed or is missing: that is
    a verdict.
    """
    return [_Summary(Estimator(g, table)).result() for g in group_records(records, evaluations)]


@dataclass(frozen=True)
class _Summary:
    """The parts of one table."""

    estimator: Estimator

    @property
    def group(self) -> Group:
        return self.estimator.group

    @property
    def table(self) -> Table:
        return self.estimator.table

    def result(self) -> TableResult:
        cells, family = judged_together([self._cell(cell) for cell in self.table.cells])
        utility = [judged_alone(self._utility(source)) for source in Aspect]
        reseed = self._reseed()
        records = [r for a in self.group.arms for r in a.records.values()]
        drawn = [(a.label, r.facts.get(FACT)) for a in self.group.arms for r in a.records.values()]
        noise = tuple(noise_notes(drawn))
        return TableResult(
            table=self.table.name,
            dataset=self.group.dataset.name,
            model=self.group.model.name,
            variant=self.group.variant,
            replicates=max(r.replicates for r in records),
            seeds=tuple(sorted({r.arm.seed for r in records})),
            regimes=tuple(self.table.columns[t].on(self.estimator.binary).regime for t in Aspect),
            cells=tuple(cells),
            utility=tuple(utility),
            reseed=tuple(reseed),
            arms=tuple(self._arm_rows({c.estimate.arm for c in (*cells, *utility)})),
            exploratory=tuple(self.estimator.grid.values()),
            family=family,
            notes=tuple(dict.fromkeys([*self.group.notes, *self._notes(cells, reseed), *noise])),
            noise=noise,
            settings=self.group.settings_notes,
            factorials=factorials(self.estimator),
            mitigations=mitigations(self.estimator),
            metrics=self.table.explained(
                metrics_of((*cells, *utility, *reseed), self.estimator.grid.values())
            ),
        )

    def _cell(self, cell: Cell) -> CellResult:
        """A registered cell, not judged yet."""
        measure = cell.measure(self.estimator.binary)
        blank = CellResult(
            cell.source,
            cell.target.value,
            cell.intervention,
            Estimate(cell.intervention, {}, measure.regime if measure else None, None),
            registered=cell,
            measure=measure,
            row=self.table.rows[cell.source].intervention,
        )
        if measure is None:
            return _without(blank, not_measured(str(cell.needs)))
        blank = replace(blank, own=self._own(cell, measure)) if blank.borrowed else blank
        return self._fill(blank, measure, cell.operating_point)

    def _own(self, cell: Cell, measure: Measure) -> Estimate | None:
        """What the row's own method does where a cell names another one.

        On the cell's measure where it has that, else on the column's; None where it has neither.
        """
        row = self.table.rows[cell.source]
        column = self.table.columns[cell.target].on(self.estimator.binary)
        for each in (measure, column):
            arm = self.estimator.printed(row.intervention, each.regime, row.operating_point)
            if isinstance(arm, Verdict) or (each is measure and cell.reference is not None):
                continue
            own = self.estimator.explore(arm, each)
            if own.effect is not None:
                return own
        return None

    def _utility(self, source: Aspect) -> CellResult:
        """A row's effect on utility, not judged yet."""
        row, measure = self.table.rows[source], self.table.utility
        blank = CellResult(
            source,
            UTILITY,
            row.intervention,
            Estimate(row.intervention, {}, measure.regime, measure.metric),
            measure=measure,
            row=row.intervention,
        )
        return self._fill(blank, measure, row.operating_point)

    def _fill(self, blank: CellResult, measure: Measure, point: dict[str, Scalar]) -> CellResult:
        blank = replace(blank, estimate=replace(blank.estimate, metric=measure.metric))
        reference = blank.registered.reference if blank.registered else None
        arm = self.estimator.printed(blank.intervention, measure.regime, point)
        if isinstance(arm, Verdict):
            beside = self.estimator.beside(None, measure, point)
            return replace(_without(blank, arm), secondary=beside)
        dosed = blank.registered.dosed if blank.registered else (blank.intervention,)
        same = [a for i in dosed for a in self.group.alone(i) if a.regime == measure.regime]
        filled = replace(
            blank,
            estimate=self.estimator.raw(arm, measure, reference),
            secondary=self.estimator.beside(arm, measure, point, reference),
            doses=tuple(self.estimator.explore(a, measure, reference) for a in same),
            unreliable=self.estimator.unreliable(arm, measure),
        )
        inside = measure.against is not None or reference is not None
        if inside or filled.estimate.effect is None:
            return filled
        return self._beyond(filled, arm, measure)

    def _beyond(self, cell: CellResult, arm: ArmRecords, measure: Measure) -> CellResult:
        """The cell with its effect beyond a baseline of equal accuracy, or the reason for none."""
        matched = self.group.matched(arm)
        if matched is None:
            return replace(cell, beyond_reason="not measured (needs control=matched)")
        beyond = self.estimator.against(arm, matched, measure.metric, "the matched arm")
        absent = beyond if isinstance(beyond, Verdict) else beyond.degenerate
        if isinstance(beyond, Verdict) or absent is not None:
            assert absent is not None
            return replace(cell, beyond_reason=f"{absent.text}: {absent.reason}")
        gap = matched.facts().get("matched_accuracy_gap")
        return replace(
            cell,
            beyond_matched=beyond.effect,
            matched_accuracy_gap=float(gap) if isinstance(gap, int | float) else None,
        )

    def _reseed(self) -> list[CellResult]:
        """The baseline with other seeds against the baseline: the look of a false alarm."""
        measures = {t.value: self.table.columns[t].on(self.estimator.binary) for t in Aspect}
        row = [self._reseed_cell(t, m) for t, m in measures.items()]
        return [
            *judged_together(row)[0],
            judged_alone(self._reseed_cell(UTILITY, self.table.utility)),
        ]

    def _reseed_cell(self, target: str, measure: Measure) -> CellResult:
        blank = CellResult(
            None,
            target,
            "reseed",
            Estimate("reseed", {}, measure.regime, measure.metric),
            measure=measure,
        )
        arm = self.group.reseed(measure.regime)
        if arm is None:
            return _without(blank, not_measured(f"control=reseed, training={measure.regime}"))
        estimate = self.estimator.raw(replace(arm, label="reseed"), measure)
        return replace(blank, estimate=estimate)

    def _arm_rows(self, printed: set[str]) -> list[ArmRow]:
        """Every treated arm, once for all its regimes."""
        rows: dict[str, list[ArmRecords]] = {}
        for arm in self.group.treated():
            rows.setdefault(arm.key, []).append(arm)
        ordered = sorted(rows.values(), key=lambda arms: _row_order(arms[0]))
        return [self._arm_row(arms, printed) for arms in ordered]

    def _arm_row(self, arms: Sequence[ArmRecords], printed: set[str]) -> ArmRow:
        first = arms[0]
        measures = {t.value: m for t, m in self.estimator.row_measures(first).items()}
        measures[UTILITY] = self.table.utility, None
        by_regime = {a.regime: a for a in arms}
        estimates = {}
        for target, (measure, reference) in measures.items():
            arm = by_regime.get(measure.regime) if measure else None
            if measure is not None and arm is not None:
                estimates[target] = self.estimator.explore(arm, measure, reference)
        tuned = by_regime.get("tuned", first)
        baseline = self.group.baseline(tuned.regime)
        known = set(baseline.facts()) if baseline else set()
        return ArmRow(
            label=tuned.label,
            interventions=tuple(i.name for i in first.interventions),
            dose=first.dose,
            estimates=estimates,
            facts={k: v for k, v in tuned.facts().items() if k not in known},
            privacy=tuple(tuned.first.privacy),
            claims=tuned.first.claims(),
            printed=any(a.label in printed for a in arms),
            below_floor=self.estimator.floor.below_in(arms),
        )

    def _notes(self, cells: Sequence[CellResult], reseed: Sequence[CellResult]) -> list[str]:
        notes = [f"{c.name} is unreliable: {c.unreliable}." for c in cells if c.unreliable]
        notes += [*self._dose_notes(cells), *self._seed_notes(), *self._matched_notes(cells)]
        notes += equal_notes((_placed(a), r) for a in self.group.arms for r in a.records.values())
        return [*notes, *audit_notes(self.group, [*cells, *reseed]), *self.estimator.floor.notes()]

    def _dose_notes(self, cells: Sequence[CellResult]) -> list[str]:
        """A note for each row whose only dose is not the registered operating point."""
        notes = []
        for c in cells:
            point = c.registered.operating_point if c.registered else {}
            arms = [a for a in self.group.alone(c.intervention) if a.label == c.estimate.arm]
            if c.estimate.effect and not at(arms[0].interventions[0], point):
                wanted = " ".join(f"{k}={show(v)}" for k, v in point.items())
                notes.append(
                    f"{c.estimate.arm} is not the registered operating point {wanted}; it is "
                    "printed because it is the only one measured."
                )
        return notes

    def _matched_notes(self, cells: Sequence[CellResult]) -> list[str]:
        """Where the matched control is missing, and where it missed the accuracy to match."""
        absent: dict[str, list[str]] = {}
        notes = []
        for c in cells:
            where = f"{c.estimate.arm} ({c.estimate.regime})"
            gap = c.matched_accuracy_gap
            if c.beyond_reason is not None:
                absent.setdefault(c.beyond_reason, []).append(where)
            elif gap is not None and abs(gap) > self.table.utility.delta:
                notes.append(
                    f"The matched control of {where} differs from it by {abs(gap):z.3f} in "
                    "validation accuracy; read its `beyond matched` with care."
                )
        notes += [
            f"Beyond matched accuracy, {', '.join(dict.fromkeys(arms))}: {reason}."
            for reason, arms in absent.items()
        ]
        return notes

    def _seed_notes(self) -> list[str]:
        """A note for each arm with seeds that its baseline lacks."""
        notes = []
        for arm in self.group.treated():
            baseline = self.group.baseline(arm.regime)
            lone = sorted(set(arm.records) - set(baseline.records)) if baseline else []
            if lone:
                notes.append(
                    f"{arm.label} ({arm.regime}): left out seed {', '.join(map(str, lone))}, for "
                    "which there is no baseline."
                )
        return notes


def _row_order(arm: ArmRecords) -> tuple[int, list[int]]:
    """Single methods before combinations, in the order of their aspects; doses keep theirs."""
    aspects = [a.value for a in Aspect]
    places = [aspects.index(i.aspect) if i.aspect in aspects else -1 for i in arm.interventions]
    return len(places), places


def _without(cell: CellResult, verdict: Verdict) -> CellResult:
    return replace(cell, estimate=replace(cell.estimate, verdict=verdict))


def _placed(arm: ArmRecords) -> str:
    """An arm's label with its regime, and its control if it is one."""
    where = arm.regime if arm.control == "none" else f"{arm.control}, {arm.regime}"
    return f"{arm.label} ({where})"
