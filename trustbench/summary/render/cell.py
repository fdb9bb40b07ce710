"""One cell in words: what is registered, and all available numbers."""

from collections.abc import Iterator, Sequence

from trustbench.contracts.aspects import Aspect
from trustbench.store.labels import show
from trustbench.summary.render import marks, row_method, secondary_wording
from trustbench.summary.render import wording as w
from trustbench.summary.render.escaping import neutral
from trustbench.summary.stats.effects import Verdict
from trustbench.summary.table.registry import Beside, Cell, Measure, Table
from trustbench.summary.table.results import CellResult, Estimate, TableResult
from trustbench.summary.table.risk import Risk, risks


def cell_text(table: Table, source: Aspect, target: Aspect, results: Sequence[TableResult]) -> str:
    """The output of `trustbench cell`."""
    results = [neutral(r) for r in results]
    cell = table.cell(source, target)
    lines = [*_registered(table, cell), *_sides(table, cell), ""]
    numbers = [line for r in results for line in _numbers(r, r.cell(source, target))]
    lines += ["measured here", *numbers] if numbers else ["measured here: nothing yet"]
    lines += [
        line
        for r in risks(results)
        if (r.source, r.target) == (source, target)
        for line in _risk(r)
    ]
    return "\n".join(lines)


def _registered(table: Table, cell: Cell) -> Iterator[str]:
    yield (
        f"{cell.source.letter}→{cell.target.letter}  {cell.source} on {cell.target}  "
        f"(table {table.name}, version {table.version})"
    )
    general, binary = cell.measure(False), cell.measure(True)
    for name, measure in (
        ("says", general),
        ("two classes", binary if binary != general else None),
    ):
        if measure is not None and measure.sentence is not None:
            yield f"  {name:<12} {measure.sentence}"
    point = " ".join(f"{k}={show(v)}" for k, v in cell.operating_point.items() if v is not None)
    compared = cell.contrast.replace("reference", str(cell.reference))
    row = table.rows[cell.source].intervention
    instead = "" if row == cell.intervention else f"; in place of the row's {row}"
    yield f"  method       {cell.intervention} {point}".rstrip() + f"; {compared}{instead}"
    if general is not None:
        yield from _measure(table, "metric", general)
    if binary is not None and binary != general:
        yield from _measure(table, "two classes", binary)
    yield f"  expected     {cell.expected}, which decides nothing"
    yield f"  dose         {cell.dose or 'none'}"
    yield from _secondary_registered(table, general)
    yield f"  references   {', '.join(cell.references) or 'none'}"
    if cell.note:
        yield f"  note         {cell.note}"
    if not cell.diagonal:
        yield f"  experiment   trustbench run +experiment={cell.source}_vs_{cell.target}"


def _sides(table: Table, cell: Cell) -> Iterator[str]:
    """One line for each contrast: what both sides share, and in what they differ."""
    lines: dict[str, None] = {}
    for metric, against, reference in _contrasts(cell):
        name = w.contrast_name(metric, against, reference)
        if against is None:
            lines[SIDES[reference is not None]] = None
            continue
        said = table.of_sides(metric, against)
        lines[
            f"{name}: both share {said.shared}; they differ: {said.differ}"
            if said
            else f"{name}: not stated; `sides` in the table's file has room for it"
        ] = None
    yield from (f"  both sides   {line}" for line in lines)


def _contrasts(cell: Cell) -> Iterator[tuple[str, str | float | None, str | None]]:
    """(metric, against, reference) of everything that a cell registers."""
    for measure in filter(None, (cell.measure(False), cell.measure(True))):
        yield measure.metric, measure.against, cell.reference
        for s in measure.secondary:
            inherited = cell.reference if s.intervention is None and s.against is None else None
            yield s.metric, s.against, s.reference or inherited


BETWEEN = (
    "the halves, the test rows, the seed of initialisation and batch order, and what the evaluator "
    "draws; they differ: "
)
SIDES = {
    False: f"treated and baseline share {BETWEEN}the method, and the replicates that it trains",
    True: f"treated and reference share {BETWEEN}the one method or the other",
}
"""The sides of contrasts between arms, keyed by whether a reference replaces the baseline."""


def _measure(table: Table, name: str, measure: Measure) -> Iterator[str]:
    yield (
        f"  {name:<12} {w.contrast_name(measure.metric, measure.against)}, training="
        f"{measure.regime}; smallest effect of interest {measure.delta:zg}, unacceptable "
        f"{measure.unacceptable:zg}"
    )
    for declared in table.explained([measure.metric]).values():
        yield f"  {'':<12} unit: {declared.unit}; {declared.better} is better"


def _secondary_registered(table: Table, measure: Measure | None) -> Iterator[str]:
    for each in measure.secondary if measure else ():
        yield f"  secondary    {_beside(each)}"
        for declared in table.explained([each.metric]).values():
            yield f"  {'':<12} {declared.explanation}"


def _beside(each: Beside) -> str:
    by = f", {each.intervention}" if each.intervention else ""
    regime = f", training={each.regime}" if each.regime else ""
    return w.contrast_name(each.metric, each.against, each.reference) + by + regime


def _numbers(result: TableResult, cell: CellResult) -> Iterator[str]:
    """The cell's own number in one table, its doses, and the related numbers."""
    known = [cell.estimate, *cell.doses, *cell.secondary]
    if cell.verdict.kind not in secondary_wording.SAID and not any(e.effect for e in known):
        return
    yield f"  {result.title}"
    at = w.at_settings(cell.estimate)
    shown = f"{w.estimate_text(cell.estimate)}  " if cell.estimate.effect else ""
    yield f"    {cell.estimate.arm}{at}: {shown}{cell.verdict.sentence}"
    yield from _chance(cell.estimate)
    yield from _warnings(cell)
    if (row := row_method.line(cell)) is not None:
        yield f"    {row}"
    if cell.beyond_matched is not None:
        beyond = cell.beyond_matched
        yield f"    beyond matched accuracy {w.number(beyond.effect)} {w.interval(beyond)}"
    for dose in cell.doses:
        if dose.verdict is not None and dose.arm != cell.estimate.arm:
            yield f"    {dose.arm}{at}: {_dose(dose, dose.verdict)}"
            yield from _chance(dose)
    yield from _secondary(cell)
    read = {str(e.metric).split("/")[0] for e in (cell.estimate, *cell.secondary)}
    yield from (f"    {n}" for name, some in result.settings.items() if name in read for n in some)


def _dose(e: Estimate, verdict: Verdict) -> str:
    if e.effect is None:
        return verdict.sentence
    return f"{w.estimate_text(e)}  {verdict.text} (exploratory){marks.mark(e)}"


def _secondary(cell: CellResult) -> Iterator[str]:
    for what, e in secondary_wording.named(cell):
        if e.effect is not None:
            yield f"    {what} ({e.regime}): {w.estimate_text(e)}{marks.mark(e)}"
            yield from _chance(e)
    for what, because, regime in secondary_wording.absent_of(cell):
        yield f"    {what} ({regime}): {because}"


def _chance(e: Estimate) -> Iterator[str]:
    """For a metric over groups: each side beside random groups, and the effect minus theirs."""
    less = w.less_chance(e)
    if less is not None and e.treated_mean is not None and e.reference_mean is not None:
        treated = f"{w.level(e.treated_mean)}{w.beside_chance(e.treated_chance)}"
        other = f"{w.level(e.reference_mean)}{w.beside_chance(e.reference_chance)}"
        yield f"      {less}: {treated} against {other}"


def _warnings(cell: CellResult) -> Iterator[str]:
    if cell.unreliable:
        yield f"    unreliable: {cell.unreliable}"
    if cell.estimate.below_floor:
        yield f"    below the utility floor: {cell.estimate.below_floor}"


def _risk(risk: Risk) -> Iterator[str]:
    yield (
        f"  risk {w.share(risk.risk)} {risk.band}: likelihood {w.share(risk.likelihood)} x "
        f"severity {w.share(risk.severity)} over {len(risk.conditions)} condition"
        f"{'s' if len(risk.conditions) > 1 else ''}"
    )
