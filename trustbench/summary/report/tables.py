"""The tables below the 5x5 table: utility, all arms, factorials, mitigations, notes."""

from collections.abc import Iterator

from trustbench.summary.render import factorial_wording, marks, mitigation_wording
from trustbench.summary.render import wording as w
from trustbench.summary.report.evidence import Bench
from trustbench.summary.report.grid import NAMES
from trustbench.summary.report.markup import Child, Html, join, listing, sentence, table, tag
from trustbench.summary.report.numbers import estimate, interval, level, signed
from trustbench.summary.report.scales import Scale, linear
from trustbench.summary.report.svg import Box, Plot, picture
from trustbench.summary.table.results import UTILITY, Estimate, TableResult

STRIP = (150.0, 18.0)
"""Size of the small picture of an interval in a table row."""


def utility(bench: Bench) -> Html:
    """The cost of every arm in accuracy, as numbers and intervals on one scale."""
    result = bench.result
    found = [(a, a.estimates[UTILITY]) for a in result.arms if UTILITY in a.estimates]
    shown = [(a, e) for a, e in found if e.effect is not None]
    measure = result.reseed[-1].measure
    if not shown or measure is None:
        return join(tag("h3", "Utility"), tag("p", "No arm's utility was measured."))
    ends = [v for _, e in shown if e.effect for v in (e.effect.low, e.effect.high)]
    scale = linear([*ends, 0.0])
    rows: list[list[Child]] = [
        [a.label, _strip(e, scale, measure.delta), estimate(e), _verdict(e),
         level(e.treated_mean, "treated_mean"), level(e.reference_mean, "baseline_mean")]
        for a, e in shown
    ]  # fmt: skip
    head: list[Child] = [
        "arm",
        "effect",
        f"{measure.metric}, harm",
        "verdict",
        "arm's",
        "baseline's",
    ]
    note = (
        f"Loss of {w.bare(measure.metric)} ({measure.regime}) against the baseline: right of the "
        f"line is worse; shaded: too small to matter. {sentence(w.exploratory_note())}"
    )
    return join(tag("h3", "Utility"), tag("p", note), table(head, rows))


def _strip(e: Estimate, scale: Scale, delta: float) -> Html:
    """An interval as a picture in a row."""
    assert e.effect is not None
    width, height = STRIP
    plot = Plot(scale, Scale(0, 1, ()), Box(4, 2, width - 4, height - 2))
    low, high = max(-delta, scale.low), min(delta, scale.high)
    plot.band([low, high], [0.0, 0.0], [1.0, 1.0], "margin")
    plot.line([(0.0, 0.0), (0.0, 1.0)], "zero")
    plot.bars([(0.5, e.effect.low, e.effect.high)], "whisker")
    plot.dots([(e.effect.effect, 0.5)], "mean", 3)
    return picture(plot.marks, f"effect {w.estimate_text(e)}", width, height)


def _verdict(e: Estimate) -> Html | None:
    if e.verdict is None:
        return None
    return tag("span", w.short(e.verdict), class_=f"badge k-{NAMES[e.verdict.kind]}")


def arms(result: TableResult) -> Html:
    """Every registered effect of every arm and dose, if there are more than the table prints."""
    if all(a.printed for a in result.arms):
        return join()
    rows: list[list[Child]] = []
    for arm in result.arms:
        cells = [_brief(arm.estimates.get(t)) for t in w.TARGETS]
        rows.append([marks.starred(arm), *cells])
    head: list[Child] = ["arm", *(name for name, _, _ in w.column_heads(result))]
    note = sentence(f"{w.exploratory_note()}; * printed above")
    return join(tag("h3", "All arms and doses"), table(head, rows, caption=note, class_="arms"))


def _brief(e: Estimate | None) -> Html:
    if e is None:
        return join("·")
    return join(estimate(e), " ", _verdict(e)) if e.effect else join(_verdict(e))


def factorials(result: TableResult) -> Iterator[Html]:
    """Every contrast of every factorial design."""
    for design in result.factorials:
        yield tag("h3", f"All subsets of {', '.join(design.factors)} ({design.regime})")
        rows: list[list[Child]] = []
        for c, row in zip(design.contrasts, factorial_wording.rows(design), strict=True):
            shown = join(
                signed(c.effect.effect, "effect"), " ", interval(c.effect), " ", w.sample(c.effect)
            )
            rows.append([*row[:4], shown, row[5]])
        head: list[Child] = ["column", "metric", "contrast", "of", "effect", "verdict"]
        yield table(head, rows, caption=factorial_wording.NOTE)
        lines: list[Child] = [
            *factorial_wording.worse_than_the_sum(design),
            *factorial_wording.without_contrasts(design),
        ]
        if lines:
            yield listing(lines)


def mitigations(result: TableResult) -> Html:
    """Which method removes which harm, and at what cost."""
    if not result.mitigations:
        return join()
    rows: list[list[Child]] = [list(mitigation_wording.row(m)) for m in result.mitigations]
    head: list[Child] = list(mitigation_wording.HEAD)
    return join(tag("h3", "Mitigations"), table(head, rows, caption=mitigation_wording.NOTE))


def notes(result: TableResult) -> Html:
    """Why cells are empty, and other notes."""
    lines: list[Child] = [f"{', '.join(cells)}: {reason}" for reason, cells in w.footnotes(result)]
    lines += result.notes
    return join(tag("h3", "Notes"), listing(lines)) if lines else join()
