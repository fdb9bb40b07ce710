"""The output of `trustbench run` for one arm without a sweep: measurements, not effects."""

from collections.abc import Collection, Iterator

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from trustbench.contracts.guarantees import without_claims
from trustbench.store.labels import label, shown
from trustbench.store.records import Evaluation, MeasurementRecord, Record
from trustbench.summary.render.escaping import one_line
from trustbench.summary.render.marks import BELOW_FLOOR
from trustbench.summary.render.wording import facts_text, level
from trustbench.summary.stats.nulls import chance_means
from trustbench.summary.stats.series import mean_of
from trustbench.summary.table.audit_power import audits
from trustbench.summary.table.evaluations import evaluator_label, note, unregistered


def single_arm(
    record: Record, evaluations: Collection[str] | None = None, below_floor: str | None = None
) -> RenderableType:
    """Every measurement's mean with its 95 % t interval over replicates, by evaluator.

    `evaluations` are the ids to print (None: all in the record). Evaluators without measurements
    give their reason, and so does each missing metric. `below_floor` says by how much the arm
    misses the utility floor, if it does.
    """
    if evaluations is not None:
        asked = {k: e for k, e in record.evaluations.items() if k in evaluations}
        record = record.model_copy(update={"evaluations": asked})
    arm = record.arm
    title = f"{arm.dataset.name} / {arm.model.name}: {label(arm)}"
    parts: list[RenderableType] = [
        Text(one_line(title), style="bold"),
        Text(
            f"regime {arm.training['regime']}; {record.replicates} replicates; seed {arm.seed}; "
            "mean [95 % t interval over replicates, not cut at a metric's bounds]",
            style="dim",
        ),
    ]
    if record.status != "ok":
        reason = one_line(record.reason or "no reason recorded")
        parts.append(Text(f"{record.status}: {reason}"))
    if below_floor is not None:
        warning = f"{BELOW_FLOOR}: {one_line(below_floor)}"
        parts.append(Text(warning, style="bold yellow"))
    if any(e.measurements for e in record.evaluations.values()):
        parts.append(_grid(record))
    facts = without_claims(record.facts)
    said = [f"Declared: {facts_text(facts)}"] if facts else []
    said += [f"Learning rate: {record.pilot.line()}"] if record.pilot else []
    said += [f"Privacy: {line}" for line in record.claims()]
    said += [f"Audit by {metric}: {line}" for metric, line in audits(record)]
    parts += [Padding(Text(one_line(line)), (0, 0, 0, 2)) for line in said]
    parts += [Padding(Text(one_line(line)), (0, 0, 0, 2)) for line in _absent(record)]
    return Group(*parts)


def _sorted(record: Record) -> list[Evaluation]:
    return sorted(
        record.evaluations.values(),
        key=lambda e: (e.evaluator.name != "utility", evaluator_label(e.evaluator)),
    )


def _grid(record: Record) -> Grid:
    grid = Grid(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False)
    for name in ("metric", "mean", "95 % interval"):
        grid.add_column(name, justify="left" if name == "metric" else "right", overflow="fold")
    by_groups = any(chance_means(e.measurements) for e in record.evaluations.values())
    if by_groups:
        grid.add_column("random groups", justify="right", overflow="fold")
    grid.add_column("n", justify="right")
    for name in ("unit", "better", "rows"):
        grid.add_column(name, justify="right" if name == "rows" else "left")
    for evaluation in _sorted(record):
        nulls = chance_means(evaluation.measurements)
        for name, m in evaluation.measurements.items():
            metric = Text(one_line(f"{evaluation.evaluator.name}/{name}{_at(evaluation)}"))
            style = "dim" if m.diagnostic else ""
            cells = _cells(m)
            if by_groups:
                cells.insert(2, level(nulls[name]) if name in nulls else "")
            grid.add_row(metric, *(Text(one_line(c)) for c in cells), style=style)
    return grid


def _at(evaluation: Evaluation) -> str:
    """Settings that are not registered, in parentheses."""
    settings = unregistered(evaluation.evaluator)
    return f" ({shown(settings)})" if settings else ""


def _cells(m: MeasurementRecord) -> list[str]:
    """Mean, interval, n, unit, direction, rows."""
    n = len(m.values)
    mean, between = level(float(np.mean(m.values))), "needs 2 replicates"
    if n >= 2:
        e = mean_of([m])
        between = f"[{level(e.low)}, {level(e.high)}]"
    direction = "diagnostic" if m.diagnostic else "higher" if m.higher_is_better else "lower"
    return [mean, between, str(n), m.unit, direction, str(m.n)]


def _absent(record: Record) -> Iterator[str]:
    for evaluation in _sorted(record):
        name = evaluation.evaluator.name
        said = note(evaluation.evaluator)
        if said is not None:
            yield said
        if evaluation.status != "ok":
            reason = evaluation.reason or "no reason recorded"
            yield f"{evaluator_label(evaluation.evaluator)}: {evaluation.status} ({reason})"
        for metric, reason in evaluation.missing.items():
            yield f"{name}/{metric}{_at(evaluation)}: not measured ({reason})"
