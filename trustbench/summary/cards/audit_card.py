"""The model card of a given model, from the record of an audit only."""

from collections.abc import Iterator, Mapping
from typing import Any

from trustbench.contracts.aspects import Aspect
from trustbench.store.audits import AuditedMetric, AuditRecord, RowNumber
from trustbench.summary.cards.front_matter import fenced
from trustbench.summary.cards.markdown_parts import code, grid, level, out_of_scope, settings
from trustbench.summary.decide.policy import TARGETS
from trustbench.summary.render import audit_text
from trustbench.summary.render.escaping import one_line
from trustbench.summary.render.known_interactions import safe
from trustbench.summary.render.wording import bare
from trustbench.summary.table.registry import Measure, Table
from trustbench.summary.table.results import UTILITY

HEAD = ("value [95 % interval over rows]", "better", "rows", "on seen rows (!)")


def audit_card(record: AuditRecord, table: Table, licence: str | None = None) -> str:
    """The card as Markdown with front matter; `licence` is the model's, which no audit knows."""
    primary = _primary(record, table)
    text = [_front_matter(record, primary, licence)]
    text += [*_title(record), "", *_use(), "", *_data(record), ""]
    text += [*_performance(record, primary), ""]
    for section in (_change, _limits, _provenance, _everything):
        text += [*section(record), ""]
    return "\n".join(text).rstrip("\n") + "\n"


def _primary(record: AuditRecord, table: Table) -> dict[str, tuple[str, ...]]:
    """Target -> the metrics of its column that an audit may hold, the primary one first."""
    binary = len(record.table.classes) == 2
    columns: dict[str, Measure] = {a.value: table.columns[a].on(binary) for a in Aspect}
    columns[UTILITY] = table.utility
    return {
        target: tuple(
            dict.fromkeys(
                [m.metric, *(b.metric for b in m.secondary if b.against is b.intervention is None)]
            )
        )
        for target, m in columns.items()
    }


def _front_matter(
    record: AuditRecord, primary: Mapping[str, tuple[str, ...]], licence: str | None
) -> str:
    found = {t: record.metrics[n[0]] for t, n in primary.items() if n[0] in record.metrics}
    results = {
        "task": {"type": "classification"},
        "dataset": {
            "name": record.table.name,
            "type": record.table.name,
            "revision": record.table.digest,
        },
        "metrics": [_metric(primary[t][0], m) for t, m in found.items()],
        "source": {"name": f"trustbench audit {record.id}"},
    }
    data: dict[str, Any] = {"license": licence} if licence else {}
    data |= {
        "tags": ["trustbench", "audit"],
        "datasets": [record.table.name],
        "metrics": [bare(primary[t][0]) for t in found],
        "model-index": [{"name": str(record.model["name"]), "results": [results]}],
    }
    return fenced(data)


def _metric(name: str, m: AuditedMetric) -> dict[str, Any]:
    args = {"low": m.number.low, "high": m.number.high, "rows": m.n, "interval": m.number.method}
    return {"type": bare(name), "name": name, "value": m.number.value, "args": args}


def _title(record: AuditRecord) -> Iterator[str]:
    yield f"# {safe(str(record.model['name']))}\n"
    yield (
        "One given model, which trustbench did not train. All numbers are from audit "
        f"{code(record.id)}; intervals are 95 % intervals over rows of the table, and say nothing "
        "about another training run.\n"
    )
    if not record.rows.known:
        yield f"**{safe(audit_text.UNKNOWN)}**\n"
    for key, value in record.model.items():
        yield f"- {safe(key.replace('_', ' '))}: {safe(str(value)) or 'none'}"


def _use() -> Iterator[str]:
    yield "## Intended use and out of scope\n"
    yield "Intended: as the model's owner states; an audit does not know it.\n"
    yield f"Out of scope: {'; '.join(out_of_scope(synthetic=False)[1:])}."


def _data(record: AuditRecord) -> Iterator[str]:
    own, rows = record.table, record.rows
    yield "## Data\n"
    yield f"- Table: {safe(own.name)}, {own.rows:,} rows, digest {code(own.digest)}"
    yield f"- Target: {safe(own.target)} ({safe(', '.join(own.classes))})"
    yield f"- Measured rows: {rows.measured:,}; {rows.calibration:,} calibrate prediction sets"
    yield (
        f"- Seen in training: {rows.seen:,} rows, {rows.copies:,} of them copies "
        f"({safe(rows.how)}); numbers on them decide nothing"
    )
    yield f"- Attacked as members: {rows.members:,} rows\n"
    groups = [[safe(g), f"{n:,}"] for g, n in own.group_sizes.items()]
    yield from grid([f"group ({safe(own.group_name)})", "measured rows"], groups)


def _performance(record: AuditRecord, primary: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    yield "## The five aspects and utility\n"
    yield "The primary metric of each target in bold.\n"
    rows = []
    for target in TARGETS:
        for k, name in enumerate(primary[target]):
            shown = f"**{safe(name)}**" if k == 0 else safe(name)
            rows.append([target, shown, *_cells(record, name)])
    yield from grid(["target", "metric", *HEAD], rows)


def _cells(record: AuditRecord, name: str) -> list[str]:
    metric, seen = record.metrics.get(name), record.on_seen.get(name)
    if metric is None:
        return [safe(f"not applicable: {_why(record, name)}"), "", "", ""]
    chance = "" if metric.null is None else f" (random groups of these sizes: {level(metric.null)})"
    return [
        f"{_number(metric.number)} {safe(metric.unit)}{chance}",
        "higher" if metric.higher_is_better else "lower",
        f"{metric.n:,}",
        "" if seen is None else level(seen.number.value),
    ]


def _why(record: AuditRecord, name: str) -> str:
    evaluator = name.partition("/")[0]
    same = [why for key, why in record.missing.items() if key.partition("/")[0] == evaluator]
    why = record.missing.get(name) or (same[0] if same else f"{evaluator} did not run")
    return why.removeprefix(f"{name.partition('/')[2]} ")  # some reasons begin with the metric


def _number(number: RowNumber) -> str:
    exact = " exact" if number.method == "exact" else ""
    return f"{level(number.value)} [{level(number.low)}, {level(number.high)}]{exact}"


def _change(record: AuditRecord) -> Iterator[str]:
    yield "## Effect of replacing another model\n"
    if record.reference is None:
        yield "None: it was audited without a reference."
        return
    yield (
        f"Against {safe(str(record.reference['name']))}, on the same rows, in units of harm: "
        "positive is worse.\n"
    )
    rows = [
        [safe(name), _number(e.number), level(e.reference)] for name, e in record.effects.items()
    ]
    yield from grid(["metric", "new - old [95 % interval]", "the reference"], rows)


def _limits(record: AuditRecord) -> Iterator[str]:
    yield "## Limits\n"
    yield "- No privacy guarantee is known: an audit is a lower bound on what attacks find."
    smallest = min(record.table.group_sizes.values(), default=0)
    yield f"- The smallest group has {smallest:,} measured rows."
    for fact, groups in record.left_out.items():
        what = safe(fact.removesuffix("/left_out"))
        yield f"- Left out of {what}, with too few rows: {safe(groups)}."
    for what, why in audit_text.missing(record):
        yield f"- Not applicable, {safe(what)}: {safe(one_line(why))}."


def _provenance(record: AuditRecord) -> Iterator[str]:
    yield "## Provenance\n"
    yield f"- Audit {code(record.id)}: {record.draws:,} redrawn samples, seed {record.seed}"
    yield f"- Software: {settings(record.environment)}"


def _everything(record: AuditRecord) -> Iterator[str]:
    yield f"## All {len(record.metrics)} measurements\n"
    rows = [[safe(name), *_cells(record, name)] for name in record.metrics]
    yield from grid(["metric", *HEAD], rows)
