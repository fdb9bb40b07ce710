"""A given model's audited numbers beside those of the baseline that retrains its module.

The two describe different things: an audit repeats over rows of one model, an arm over retrained
models. They have columns of their own, and no difference between them is computed.
"""

from collections.abc import Iterator

import numpy as np

from trustbench.store.audits import AuditRecord
from trustbench.store.records import MeasurementRecord, Record
from trustbench.summary.render.escaping import one_line, visible
from trustbench.summary.render.text_table import aligned
from trustbench.summary.stats.series import mean_of

HEAD = ("metric", "your model", "95 % over rows", "retrained", "95 % over replicates", "better")


def beside(audit: AuditRecord, baseline: Record) -> str:
    """The metrics that both have, as plain text."""
    measured = {
        f"{e.evaluator.name}/{name}": m
        for e in baseline.evaluations.values()
        for name, m in e.measurements.items()
    }
    rows = list(_rows(audit, measured))
    if not rows:
        return ""
    code = baseline.arm.model.params.get("target", baseline.arm.model.name)
    title = f"Your model ({audit.model['name']}) beside the baseline that retrains {code}"
    about = (
        f"your model: one model on {audit.rows.measured:,} rows; retrained: {baseline.replicates} "
        "replicates, each on a half of the training rows, with the preprocessing of dataset=table"
    )
    lines = ["", one_line(title), about, *aligned(HEAD, rows)]
    return "\n".join(visible(line) for line in lines) + "\n"


def _rows(audit: AuditRecord, measured: dict[str, MeasurementRecord]) -> Iterator[list[str]]:
    for name, metric in audit.metrics.items():
        own = measured.get(name)
        if own is None or metric.diagnostic:
            continue
        number = metric.number
        between = "needs 2 replicates"
        if len(own.values) > 1:
            e = mean_of([own])
            between = f"[{e.low:z.3f}, {e.high:z.3f}]"
        yield [
            one_line(name),
            f"{number.value:z.3f}",
            f"[{number.low:z.3f}, {number.high:z.3f}]",
            f"{float(np.mean(own.values)):z.3f}",
            between,
            "higher" if metric.higher_is_better else "lower",
        ]
