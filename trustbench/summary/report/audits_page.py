"""The report of several audits: one self-contained HTML file, with a column for each model."""

from collections.abc import Iterator, Sequence

from trustbench.store.audits import AuditRecord
from trustbench.summary.render import audit_text
from trustbench.summary.report.audit_page import by_aspect
from trustbench.summary.report.markup import Child, Html, breakable, join, listing, table, tag
from trustbench.summary.report.page import head

ABOUT = (
    "What several given models score on rows of a table, by aspect of trustworthy AI, with a "
    "column for each. Brackets are 95 % intervals over rows. Intervals that overlap do not show "
    "that two models are alike: `trustbench audit --model NEW --reference OLD` compares them row "
    "by row. Metrics that no audit has are explained in the reports of single audits."
)


def audits_document(records: Sequence[AuditRecord]) -> str:
    """Renders audits side by side as one HTML file."""
    names = _names(records)
    title = f"trustbench: audits of {', '.join(names)}"
    sections: dict[str, list[str]] = {}
    for record in records:
        for aspect, evaluators in by_aspect(record).items():
            known = sections.setdefault(aspect, [])
            known += [e for e in evaluators if e not in known]
    body = tag(
        "body",
        _header(records, names, title),
        tag("main", *(_section(records, names, a, own) for a, own in sections.items() if own)),
    )
    return f"<!doctype html>\n{tag('html', head(title), body, lang='en')}\n"


def _names(records: Sequence[AuditRecord]) -> list[str]:
    """The names of the columns: the models, with the audit's id where names repeat."""
    plain = [str(record.model["name"]) for record in records]
    return [
        f"{name} ({record.id})" if plain.count(name) > 1 else name
        for name, record in zip(plain, records, strict=True)
    ]


def _header(records: Sequence[AuditRecord], names: list[str], title: str) -> Html:
    parts: list[Child] = [tag("h1", title)]
    parts += [tag("p", text, class_="badge k-harm") for text in _differences(records)]
    parts.append(tag("p", ABOUT))
    for name, record in zip(names, records, strict=True):
        lines: list[Child] = [] if record.rows.known else [audit_text.UNKNOWN]
        parts += [tag("h3", name), listing([*lines, *audit_text.about(record)])]
    return tag("header", *parts)


def _differences(records: Sequence[AuditRecord]) -> Iterator[str]:
    """Why numbers of two columns may not be comparable, a sentence each."""
    tables = {(r.table.digest, r.table.target) for r in records}
    if len(tables) > 1:
        yield (
            f"THE AUDITS READ {len(tables)} DIFFERENT TABLES: a difference between columns may be "
            "one between rows."
        )
    elif len({(r.rows.measured, tuple(r.table.group_sizes.items())) for r in records}) > 1:
        yield (
            "THE AUDITS MEASURE DIFFERENT ROWS of one table: a difference between columns may be "
            "one between rows."
        )
    if len({tuple(r.table.favourable) for r in records}) > 1:
        yield "THE AUDITS TAKE DIFFERENT CLASSES AS FAVOURABLE: fairness is not comparable."


def _section(
    records: Sequence[AuditRecord], names: list[str], aspect: str, evaluators: list[str]
) -> Html:
    """The numbers of one aspect; a metric that no model has is left out."""
    keys = dict.fromkeys(
        key
        for record in records
        for key, metric in record.metrics.items()
        if key.partition("/")[0] in evaluators and not metric.diagnostic
    )
    heads: list[Child] = ["metric", "better", *names]
    rows = [_row(records, key) for key in keys]
    numbers = table(heads, rows) if rows else tag("p", "Nothing is measured.")
    return tag("section", tag("h2", aspect.capitalize()), numbers, id=f"aspect-{aspect}")


def _row(records: Sequence[AuditRecord], key: str) -> list[Child]:
    metric = next(r.metrics[key] for r in records if key in r.metrics)
    words = tag("span", metric.sentence, class_="words")
    better = "higher" if metric.higher_is_better else "lower"
    first: list[Child] = [join(breakable(key), tag("br"), words), better]
    return [*first, *(_cell(record, key) for record in records)]


def _cell(record: AuditRecord, key: str) -> Html:
    metric = record.metrics.get(key)
    if metric is None:
        return tag("span", f"none: {record.missing.get(key, 'not measured')}", class_="words")
    number = metric.number
    chance = "" if metric.null is None else f"; by chance {metric.null:z.3f}"
    shown = tag("data", f"{number.value:z.3f} {metric.unit}", value=repr(number.value))
    return join(shown, tag("br"), audit_text.interval(number), chance)
