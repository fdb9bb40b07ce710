"""The table as CSV: one line per cell, utility, control and arm."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trustbench.summary.render.escaping import neutral
from trustbench.summary.render.json_ import document
from trustbench.summary.table.results import TableResult

FIELDS = (
    "kind",
    "dataset",
    "model",
    "variant",
    "source",
    "target",
    "arm",
    "intervention",
    "row_intervention",
    "evaluator",
    "metric",
    "against",
    "settings",
    "unit",
    "effect",
    "low",
    "high",
    "n",
    "p",
    "p_holm",
    "p_bh",
    "verdict",
    "reason",
    "regime",
    "dose",
    "unreliable",
    "below_floor",
    "beyond_effect",
    "beyond_low",
    "beyond_high",
    "beyond_chance_effect",
    "beyond_chance_low",
    "beyond_chance_high",
    "row_own_metric",
    "row_own_effect",
    "row_own_low",
    "row_own_high",
    "row_own_verdict",
    "delta",
    "expected",
    "records",
)


ENDS = ("effect", "low", "high")


def text(results: Sequence[TableResult]) -> str:
    """Every table as one CSV document; a missing number is an empty field with a reason."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in _rows(results):
        writer.writerow({k: _field(v) for k, v in row.items()})
    return out.getvalue()


def _rows(results: Sequence[TableResult]) -> Iterator[dict[str, object]]:
    found = document([neutral(r) for r in results])
    for kind in ("cells", "utility", "reseed"):
        for cell in found[kind]:
            beyond = cell["beyond_matched"] or {}
            own = cell["row_own"] or {}
            more = {f"beyond_{k}": beyond.get(k) for k in ENDS}
            more |= {f"row_own_{k}": own.get(k) for k in ("metric", *ENDS, "verdict")}
            yield {"kind": kind, **cell, **more, **_chance(cell)}
    for arm in found["arms"]:
        for target, effect in arm["effects"].items():
            yield {
                "kind": "arm",
                **arm,
                **effect,
                **_chance(effect),
                "target": target,
                "intervention": "+".join(arm["interventions"]),
            }


def _chance(found: Mapping[str, Any]) -> dict[str, object]:
    """An effect minus that of random groups; empty fields if the metric compares none."""
    beyond = found["beyond_chance"] or {}
    return {f"beyond_chance_{k}": beyond.get(k) for k in ENDS}


def _field(value: object) -> object:
    """A value as a field; text that a spreadsheet would run as a formula is quoted."""
    if isinstance(value, dict):
        return " ".join(f"{k}={v}" for k, v in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@"):
        return f"'{value}"
    return value
