"""An audit for people: on a terminal, and as Markdown."""

from collections.abc import Iterator, Mapping, Sequence

from trustbench.contracts.shortening import listed
from trustbench.store.audits import AuditedMetric, AuditRecord, RowNumber
from trustbench.summary.render.escaping import one_line, visible
from trustbench.summary.render.markdown import unlinked
from trustbench.summary.render.text_table import aligned

UNKNOWN = (
    "IT IS UNKNOWN WHICH ROWS THE MODEL HAS SEEN: it may score better here than on new rows. "
    "Give its training rows (--train), a column that names the split (--split-column), or --unseen."
)
SEEN = "on seen rows (!)"


def text(record: AuditRecord) -> str:
    """The audit as plain text; control characters in names are marked."""
    return "\n".join(visible(line) for line in _lines(record)) + "\n"


def markdown(record: AuditRecord) -> str:
    """The audit as GitHub-flavoured Markdown."""
    return "\n".join(_markdown(record)) + "\n"


def _lines(record: AuditRecord) -> Iterator[str]:
    if not record.rows.known:
        yield UNKNOWN
        yield ""
    yield from about(record)
    head = _head(record)
    for evaluator, rows in _tables(record).items():
        yield ""
        yield one_line(evaluator)
        yield from aligned(head, rows)
    absent = missing(record)
    if absent:
        yield ""
        yield "not applicable"
        yield from (f"  {one_line(what)}: {one_line(why)}" for what, why in absent)


def _markdown(record: AuditRecord) -> Iterator[str]:
    yield f"## Audit of {_safe(str(record.model['name']))}\n"
    if not record.rows.known:
        yield f"**{_safe(UNKNOWN)}**\n"
    yield from (f"{_safe(line)}  " for line in about(record))
    head = _head(record)
    for evaluator, rows in _tables(record).items():
        yield f"\n### {_safe(evaluator)}\n"
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        yield from (f"| {' | '.join(map(_safe, row))} |" for row in rows)
    absent = missing(record)
    if absent:
        yield "\n### not applicable\n"
        yield from (f"- {_safe(what)}: {_safe(why)}" for what, why in absent)


def about(record: AuditRecord) -> Iterator[str]:
    """What was audited, on which rows, and what the intervals are; one line each."""
    model, table, rows = record.model, record.table, record.rows
    yield one_line(
        f"audit {record.id}: {model['name']} ({model.get('kind', 'a model')}) on {table.name}, "
        f"target {table.target}, groups {table.group_name} "
        f"({', '.join(f'{g} {n:,}' for g, n in table.group_sizes.items())})"
    )
    if table.assumed:
        other, good = table.classes
        yield one_line(
            f"No favourable class is declared, so {good}, the last of {other} and {good}, is taken "
            f"as favourable; declare it with --favourable {good}, or name the other."
        )
    elif table.favourable:
        yield one_line(f"favourable: {' and '.join(table.favourable)}, as declared")
    copies = f", {rows.copies:,} of them copies of training rows" if rows.copies else ""
    yield (
        f"{rows.measured:,} of {table.rows:,} rows are measured, {rows.calibration:,} calibrate, "
        f"{rows.seen:,} were seen in training{copies} ({rows.how})"
    )
    if "decisions" in model:
        yield one_line(f"decisions are {model['decisions']}")
    if record.references is not None:
        beside = record.references
        how = f" ({beside['training']})" if "training" in beside else ""
        yield one_line(
            f"membership is attacked beside {beside['count']} models of {beside['recipe']}{how}, "
            f"each fitted on {beside['rows_of_each']:,} of the {beside['pool']:,} training and "
            f"measured rows (seed {beside['seed']}), which are assumed to come from one "
            "distribution"
        )
    auc = record.metrics.get("utility/auc")
    if auc is not None and auc.number.high < 0.5:
        yield (
            "THE AUC IS BELOW .5: the model ranks rows the wrong way round. Is --favourable the "
            "class that its scores stand for, and are the labels not swapped?"
        )
    for fact, groups in record.left_out.items():
        yield one_line(f"LEFT OUT of {fact.removesuffix('/left_out')}, with too few rows: {groups}")
    yield "intervals: 95 %, over test rows; `exact` by Clopper and Pearson, else by the bootstrap"
    if record.reference is not None:
        yield one_line(
            f"against {record.reference['name']}, row by row, in units of harm: positive is worse"
        )


def _head(record: AuditRecord) -> list[str]:
    head = ["metric", "value", "95 % over rows", "rows", "unit", "by chance"]
    if record.on_seen:
        head.append(SEEN)
    return [*head, "new - old"] if record.reference is not None else head


def _tables(record: AuditRecord) -> dict[str, list[list[str]]]:
    """The rows of each evaluator's table; diagnostics are in the record only."""
    found: dict[str, list[list[str]]] = {}
    for name, metric in record.metrics.items():
        if not metric.diagnostic:
            evaluator, _, own = name.partition("/")
            found.setdefault(evaluator, []).append([own, *_cells(record, name, metric)])
    return found


def _cells(record: AuditRecord, name: str, metric: AuditedMetric) -> Iterator[str]:
    yield f"{metric.number.value:z.3f}"
    yield interval(metric.number)
    yield f"{metric.n:,}"
    yield f"{metric.unit}, {'higher' if metric.higher_is_better else 'lower'} is better"
    yield "" if metric.null is None else f"{metric.null:z.3f}"
    if record.on_seen:
        seen = record.on_seen.get(name)
        yield "" if seen is None else f"{seen.number.value:z.3f}"
    if record.reference is not None:
        effect = record.effects.get(name)
        yield (
            "" if effect is None else f"{effect.number.value:+z.3f} {interval(effect.number, '+')}"
        )


def interval(number: RowNumber, sign: str = "") -> str:
    """The 95 % interval of a number, and `exact` if it is."""
    ends = f"[{number.low:{sign}z.3f}, {number.high:{sign}z.3f}]"
    return f"{ends} exact" if number.method == "exact" else ends


def missing(record: AuditRecord) -> list[tuple[str, str]]:
    """(metric or evaluator, why); an evaluator without any metric is one line."""
    measured = {name.partition("/")[0] for name in record.metrics}
    reasons = _by_evaluator(record.missing)
    found: list[tuple[str, str]] = []
    for evaluator, own in reasons.items():
        whys = list(dict.fromkeys(own.values()))
        if evaluator not in measured and len(whys) == 1:
            found.append((evaluator, whys[0]))
        else:
            found += [(_listed(evaluator, own, why), why) for why in whys]
    return found


def _by_evaluator(missing: Mapping[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, why in missing.items():
        evaluator, _, own = name.partition("/")
        if not own.endswith("_permuted"):
            # some reasons begin with the metric itself
            found.setdefault(evaluator, {})[own] = why.removeprefix(f"{own} ")
    return found


def _listed(evaluator: str, own: Mapping[str, str], why: str) -> str:
    names: Sequence[str] = [name for name, reason in own.items() if reason == why]
    return f"{evaluator}: {listed(names)}"


def _safe(text: str) -> str:
    """Escapes text for literal display, on one line and without links."""
    return unlinked(text)
