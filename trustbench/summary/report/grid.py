"""The 5x5 table of the report: every cell links to its evidence."""

from trustbench.contracts.aspects import Aspect
from trustbench.summary.render import marks, row_method
from trustbench.summary.render import wording as w
from trustbench.summary.report.evidence import Bench
from trustbench.summary.report.markup import Html, breakable, join, scrolling, sentence, tag
from trustbench.summary.report.numbers import estimate, interval, number, signed
from trustbench.summary.stats.effects import Kind, Verdict
from trustbench.summary.table.results import UTILITY, CellResult, TableResult

NAMES = {
    Kind.HARM: "harm",
    Kind.BENEFIT: "benefit",
    Kind.NO_MATERIAL: "none",
    Kind.IMMATERIAL: "immaterial",
    Kind.INCONCLUSIVE: "unclear",
    Kind.NOT_APPLICABLE: "na",
    Kind.FAILED: "failed",
    Kind.NOT_MEASURED: "absent",
}
"""The style of a verdict: a colour, and a border that differs for readers without colour."""


def grid(bench: Bench) -> Html:
    """The table with utility and the reseed control."""
    result = bench.result
    heads = [
        tag(
            "th",
            tag("b", name),
            tag("span", breakable(metric), class_="metric"),
            tag("span", regime, class_="regime"),
            scope="col",
            title=result.explanation(control.measure.metric if control.measure else None),
        )
        for control, (name, metric, regime) in zip(
            result.reseed, w.column_heads(result), strict=True
        )
    ]
    rows = [
        tag(
            "tr",
            tag(
                "th",
                tag("b", f"{s.letter} {s}"),
                tag("span", breakable(w.row_arm(result, s))),
                scope="row",
            ),
            *(_cell(bench, c) for c in w.row_cells(result, s)),
        )
        for s in Aspect
    ]
    control = tag("th", tag("b", "reseed control"), tag("span", "baseline again"), scope="row")
    rows.append(tag("tr", control, *(_cell(bench, c) for c in result.reseed), class_="control"))
    whole = tag(
        "table",
        tag("thead", tag("tr", tag("th", "method", scope="col"), *heads)),
        tag("tbody", *rows),
        class_="grid5",
    )
    return join(tag("p", sentence(w.caption(result))), scrolling(whole, f"table of {result.title}"))


def badge(verdict: Verdict) -> Html:
    """A verdict in full: symbol and words, in its colours."""
    sign = w.SIGNS[verdict.kind]
    return tag("span", sign.symbol, " ", verdict.text, class_=f"badge k-{NAMES[verdict.kind]}")


def legend(result: TableResult) -> Html:
    """The meaning of the table's symbols."""
    shown = [
        tag("span", f"{sign.symbol} {sign.short}", class_=f"badge k-{NAMES[kind]}")
        for kind, sign in w.SIGNS.items()
    ]
    return tag(
        "p",
        *(join(s, " ") for s in shown),
        f"{w.legend()}; {w.LEGEND_MORE}{row_method.legend(result)}.",
        class_="legend",
    )


def _cell(bench: Bench, cell: CellResult) -> Html:
    own = w.own_metric(bench.result, cell)
    lines = [
        tag("span", f"{cell.name}: ", class_="unseen"),
        tag("span", w.short(cell.verdict), class_="verdict"),
    ]
    lines += [tag("span", warning, class_="unreliable") for warning in marks.warnings(cell)]
    if cell.estimate.effect is not None:
        lines += _numbers(cell)
    if (by := row_method.by(cell)) is not None:
        lines.insert(1, tag("span", breakable(by), class_="small"))
    if own is not None:
        lines.append(tag("span", breakable(own), class_="metric"))
    for each in cell.secondary if cell.target == UTILITY else ():
        lines.append(
            tag("span", breakable(w.bare(str(each.metric))), " ", estimate(each), class_="small")
        )
    if cell.beyond_matched is not None:
        shown = number(cell.beyond_matched, "beyond_matched.")
        lines.append(tag("span", "beyond ", shown, class_="small"))
    if cell.registered is not None:
        lines.append(tag("span", f"exp. {w.EXPECTED[cell.registered.expected]}", class_="small"))
    if cell.own is not None and cell.own.effect is not None:
        shown = number(cell.own.effect, "row_own.")
        lines.append(tag("span", "row ", shown, " ", row_method.verdict(cell.own), class_="small"))
    says = bench.result.explanation(cell.estimate.metric)
    link = tag("a", *lines, href=f"#{bench.anchor(cell)}", title=says)
    return tag("td", link, class_=f"k-{NAMES[cell.verdict.kind]}")


def _numbers(cell: CellResult) -> list[Html]:
    effect = cell.estimate.effect
    assert effect is not None
    return [
        tag("span", signed(effect.effect, "effect"), class_="effect"),
        tag("span", interval(effect)),
        tag("span", w.sample(effect), class_="small"),
    ]
