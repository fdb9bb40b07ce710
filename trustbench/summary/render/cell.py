"""One cell in words: what is registered, and every number at hand."""

from collections.abc import Iterator, Sequence

from trustbench.aspects import Aspect
from trustbench.summary.grouping import show
from trustbench.summary.registry import Beside, Cell, Measure, Table
from trustbench.summary.render import wording as w
from trustbench.summary.render.visible import neutral
from trustbench.summary.results import CellResult, TableResult
from trustbench.summary.risk import Risk, risks


def cell_text(table: Table, source: Aspect, target: Aspect, results: Sequence[TableResult]) -> str:
    """What `trustbench cell` prints."""
    results = [neutral(r) for r in results]
    lines = [*_registered(table, table.cell(source, target)), ""]
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
    point = " ".join(f"{k}={show(v)}" for k, v in cell.operating_point.items() if v is not None)
    compared = cell.contrast.replace("reference", str(cell.reference))
    yield f"  method       {cell.intervention} {point}".rstrip() + f"; {compared}"
    general, binary = cell.measure(False), cell.measure(True)
    if general is not None:
        yield from _measure("metric", general)
    if binary is not None and binary != general:
        yield from _measure("two classes", binary)
    yield f"  expected     {cell.expected}, which decides nothing"
    yield f"  dose         {cell.dose or 'none'}"
    for each in general.secondary if general else ():
        yield f"  secondary    {_beside(each)}"
    yield f"  references   {', '.join(cell.references) or 'none'}"
    if cell.note:
        yield f"  note         {cell.note}"
    if not cell.diagonal:
        yield f"  experiment   trustbench run +experiment={cell.source}_vs_{cell.target}"


def _measure(name: str, measure: Measure) -> Iterator[str]:
    yield (
        f"  {name:<12} {w.contrast_name(measure.metric, measure.against)}, training="
        f"{measure.regime}; smallest effect of interest {measure.delta:zg}, unacceptable "
        f"{measure.unacceptable:zg}"
    )


def _beside(each: Beside) -> str:
    by = f", {each.intervention}" if each.intervention else ""
    regime = f", training={each.regime}" if each.regime else ""
    return w.contrast_name(each.metric, each.against, each.reference) + by + regime


def _numbers(result: TableResult, cell: CellResult) -> Iterator[str]:
    """The cell's own number in one table, its doses, and what stands beside it."""
    if cell.estimate.effect is None and not any(e.effect for e in cell.secondary):
        return
    yield f"  {result.title}"
    yield f"    {cell.estimate.arm}: {w.estimate_text(cell.estimate)}  {cell.verdict.text}"
    if cell.unreliable:
        yield f"    unreliable: {cell.unreliable}"
    if cell.beyond_matched is not None:
        beyond = cell.beyond_matched
        yield f"    beyond matched accuracy {w.number(beyond.effect)} {w.interval(beyond)}"
    for dose in cell.doses:
        if dose.effect is not None and dose.arm != cell.estimate.arm:
            verdict = f"  {dose.verdict.text} (exploratory)" if dose.verdict else ""
            yield f"    {dose.arm}: {w.estimate_text(dose)}{verdict}"
    for e in cell.secondary:
        if e.effect is not None:
            by = "" if e.arm == cell.estimate.arm else f", {e.arm}"
            what = w.contrast_name(str(e.metric), e.against, e.reference)
            yield f"    {what}{by} ({e.regime}): {w.estimate_text(e)}"


def _risk(risk: Risk) -> Iterator[str]:
    yield (
        f"  risk {w.share(risk.risk)} {risk.band}: likelihood {w.share(risk.likelihood)} x "
        f"severity {w.share(risk.severity)} over {len(risk.conditions)} condition"
        f"{'s' if len(risk.conditions) > 1 else ''}"
    )
