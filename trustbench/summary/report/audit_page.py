"""The report of an audit: one self-contained HTML file, by aspect, with intervals and reasons."""

from collections.abc import Iterator, Mapping

from trustbench.contracts.aspects import Aspect
from trustbench.store.audits import AuditedMetric, AuditRecord
from trustbench.summary.decide import gate_wording
from trustbench.summary.decide.decisions import Outcome
from trustbench.summary.decide.gate import Candidate, Gate
from trustbench.summary.decide.gate_terminal import ranked
from trustbench.summary.render import audit_text
from trustbench.summary.report.markup import (
    Child,
    Html,
    breakable,
    join,
    listing,
    table,
    tag,
    terms,
)
from trustbench.summary.report.page import head
from trustbench.summary.report.scales import Scale
from trustbench.summary.report.svg import Box, Plot, picture
from trustbench.summary.table.results import UTILITY

OTHER = "other"
"""The section of evaluators whose aspect the record does not name."""
STYLES = {
    Outcome.PASS: "benefit",
    Outcome.VIOLATED: "harm",
    Outcome.INCONCLUSIVE: "unclear",
    Outcome.UNMEASURED: "absent",
    Outcome.UNRELIABLE: "unclear",
}
"""The colours of an outcome: those of the verdict that it is nearest to."""
ABOUT = (
    "What a given model scores on rows of a table, by aspect of trustworthy AI. A bar is the 95 % "
    "interval from 0 to 1, a dot the number, a dashed line what random groups of the same sizes "
    "show, and a hollow dot the number on rows that the model has seen."
)
WIDE, TALL = 150.0, 18.0


def audit_document(record: AuditRecord, gate: Gate | None = None) -> str:
    """Renders an audit, and a policy's decisions on it, as one HTML file."""
    title = f"trustbench: audit of {record.model['name']}"
    sections = by_aspect(record)
    body = tag(
        "body",
        _header(record, title),
        tag(
            "main",
            *([_decisions(gate)] if gate is not None else []),
            *(_section(record, name, metrics) for name, metrics in sections.items()),
            _rows(record),
            _provenance(record),
        ),
    )
    return f"<!doctype html>\n{tag('html', head(title), body, lang='en')}\n"


def by_aspect(record: AuditRecord) -> dict[str, list[str]]:
    """Aspect -> its evaluators, of measured and of missing metrics alike; utility comes last."""
    names = [*record.metrics, *record.missing]
    evaluators = dict.fromkeys(name.partition("/")[0] for name in names if "/" in name)
    found: dict[str, list[str]] = {name: [] for name in (*map(str, Aspect), UTILITY)}
    for evaluator in evaluators:
        own = record.aspects.get(evaluator)
        own = own or (evaluator if evaluator in found else OTHER)
        found.setdefault(own, []).append(evaluator)
    return found


def reasons(record: AuditRecord, evaluators: list[str]) -> list[tuple[str, str]]:
    """(metrics, why they are missing) of some evaluators."""
    own = {k: why for k, why in record.missing.items() if k.partition("/")[0] in evaluators}
    return audit_text.missing(record.model_copy(update={"missing": own}))


def _header(record: AuditRecord, title: str) -> Html:
    warning = None
    if not record.rows.known:
        warning = tag("p", audit_text.UNKNOWN, class_="badge k-harm")
    lines: list[Child] = [*audit_text.about(record)]
    return tag("header", tag("h1", title), warning, tag("p", ABOUT), listing(lines))


def _decisions(gate: Gate) -> Html:
    """The policy's advice, and one row for each decision."""
    return tag(
        "section",
        tag("h2", gate_wording.title(gate)),
        tag("p", tag("b", gate_wording.advice(gate))),
        tag("p", gate.policy.description),
        *(_candidate(c) for c in gate.candidates),
        listing([gate_wording.rate(gate), *gate.notes]),
    )


def _candidate(candidate: Candidate) -> Html:
    rows: list[list[Child]] = []
    for d in ranked(candidate.decisions):
        sign = gate_wording.SYMBOLS[d.outcome]
        shown = f"{sign} {gate_wording.outcome(d)}"
        rows.append(
            [
                breakable(gate_wording.what(d)),
                d.against,
                gate_wording.requirement(d),
                gate_wording.measured(d),
                tag("span", shown, class_=f"badge k-{STYLES[d.outcome]}"),
                d.reason or None,
            ]
        )
    heads: list[Child] = ["what", "against", "asked", "measured", "outcome", "reason"]
    return table(heads, rows) if rows else tag("p", "The policy asks nothing of it.")


def _section(record: AuditRecord, name: str, evaluators: list[str]) -> Html:
    """The numbers of one aspect, then why others are missing."""
    measured = {
        key: metric
        for key, metric in record.metrics.items()
        if key.partition("/")[0] in evaluators and not metric.diagnostic
    }
    absent = reasons(record, evaluators)
    if not evaluators and name == OTHER:
        return join()
    numbers = _numbers(record, measured) if measured else tag("p", "Nothing is measured.")
    lines: list[Child] = [join(tag("b", breakable(what)), f": {why}") for what, why in absent]
    if not evaluators:
        lines = ["No evaluator of this aspect ran."]
    below = join(tag("h4", "Not applicable"), listing(lines)) if lines else None
    return tag("section", tag("h2", name.capitalize()), numbers, below, id=f"aspect-{name}")


def _numbers(record: AuditRecord, measured: Mapping[str, AuditedMetric]) -> Html:
    heads: list[Child] = ["metric", "", "value", "95 % over rows", "rows", "better", "by chance"]
    if record.on_seen:
        heads.append(audit_text.SEEN)
    if record.reference is not None:
        heads.append("new - old")
    return table(heads, [list(_row(record, key, m)) for key, m in measured.items()])


def _row(record: AuditRecord, key: str, metric: AuditedMetric) -> Iterator[Child]:
    number, seen = metric.number, record.on_seen.get(key)
    yield join(breakable(key), tag("br"), tag("span", metric.sentence, class_="words"))
    yield _bar(metric, seen)
    yield tag("data", f"{number.value:z.3f} {metric.unit}", value=repr(number.value))
    yield audit_text.interval(number)
    yield f"{metric.n:,}"
    yield "higher" if metric.higher_is_better else "lower"
    yield None if metric.null is None else f"{metric.null:z.3f}"
    if record.on_seen:
        yield None if seen is None else f"{seen.number.value:z.3f} (!)"
    if record.reference is not None:
        effect = record.effects.get(key)
        yield (
            join(f"none: {record.without_effect.get(key, 'not measured')}")
            if effect is None
            else f"{effect.number.value:+z.3f} {audit_text.interval(effect.number, '+')}"
        )


def _bar(metric: AuditedMetric, seen: AuditedMetric | None) -> Html | None:
    """The number with its interval on the scale from 0 to 1; None for other scales."""
    number = metric.number
    if not 0.0 <= number.low <= number.high <= 1.0:
        return None
    box = Box(left=4, top=2, right=WIDE - 4, bottom=TALL - 2)
    plot = Plot(Scale(0, 1, ()), Scale(0, 1, ()), box)
    plot.segments([((0, 0), (0, 1)), ((1, 0), (1, 1)), ((0, 0.5), (1, 0.5))], "grid")
    if metric.null is not None:
        plot.segments([((metric.null, 0), (metric.null, 1))], "zero")
    plot.bars([(0.5, number.low, number.high)], "whisker")
    if seen is not None:
        plot.dots([(seen.number.value, 0.5)], "dot ref")
    plot.dots([(number.value, 0.5)], "mean", 3.2)
    said = f"{number.value:z.3f}, {audit_text.interval(number)}, on a scale from 0 to 1"
    return picture(plot.marks, said, WIDE, TALL)


def _rows(record: AuditRecord) -> Html:
    """The groups, and what is known of the rows that were seen in training."""
    known, sizes = record.rows, record.table.group_sizes
    groups: list[list[Child]] = [[group, f"{n:,}"] for group, n in sizes.items()]
    yes = "yes" if known.known else "NO: numbers may be better than on new rows"
    return tag(
        "section",
        tag("h2", "Rows"),
        terms(
            [
                ("measured", f"{known.measured:,} of {record.table.rows:,}"),
                ("calibrate prediction sets", f"{known.calibration:,}"),
                ("seen in training (!)", f"{known.seen:,}, which decide nothing"),
                ("of these, copies of training rows", f"{known.copies:,}"),
                ("attacked as members", f"{known.members:,}"),
                ("known which were seen", f"{yes} ({known.how})"),
            ]
        ),
        table([record.table.group_name, "measured rows"], groups),
    )


def _provenance(record: AuditRecord) -> Html:
    own = record.table
    about: list[tuple[str, Child]] = [
        ("table", own.name),
        ("digest of the rows", own.digest),
        ("target", f"{own.target}: {', '.join(own.classes)}"),
        ("sensitive columns", ", ".join(own.sensitive) or "none"),
        ("audit", record.id),
        ("redrawn samples", f"{record.draws:,}, seed {record.seed}"),
        *((key, str(value)) for key, value in record.environment.items()),
    ]
    return tag(
        "section",
        tag("h2", "Provenance"),
        tag("h3", "The model"),
        terms([(key, str(value)) for key, value in record.model.items()]),
        *(_reference(record)),
        tag("h3", "The audit"),
        terms(about),
    )


def _reference(record: AuditRecord) -> Iterator[Html]:
    if record.reference is not None:
        yield tag("h3", "The reference")
        yield terms([(key, str(value)) for key, value in record.reference.items()])
