"""Published results next to ours, from the records of the `known_*` experiments.

run: python scripts/studies/known_answers.py [--into outputs] [--data data]
     [--out docs/results/known-answers.md]

Each case of scripts/studies/known_answers.yaml names an experiment; run that first, with the folder
given here as its `output_dir`. Cases that were not run are listed as such. The generated document
starts with an explanation of how a row is judged.
"""

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from known_computed import COMPUTED, song
from known_source import Quantity, Source

from trustbench.store.records import Store
from trustbench.summary.stats.effects import Effect, paired_effect

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = ROOT / "scripts" / "studies" / "known_answers.yaml"
NOT_RUN = "not run"
ROUNDING = 1e-9  # of a mean of equal numbers

COLUMNS = ("case", "what is compared", "published", "ours", "regime", "verdict", "what differs",
           "command")  # fmt: skip

HEAD = """# Known answers: published results beside ours

Made by `python scripts/studies/known_answers.py` from the records of the experiments named below
and from `known_answers.yaml` beside it, which says what is compared and how it is judged; do not
edit.

*Ours* is a mean over n replicates with its 95 % paired t interval (paired by replicate where two
arms are compared), conditional on one draw of the data. Where replicates are each other's shadow
models, or share permutations of the groups, it counts what they share, as the table's intervals
do (docs/statistics.md). A row counts as

- **reproduced in size** where a band around the published number is registered and our whole
  interval lies inside of it;
- **reproduced in direction** where our interval excludes the null on the published side;
- **not reproduced** otherwise: *inconclusive* where the interval holds the null, *opposite* where
  it excludes it on the other side. Such rows stay; what was looked at is said beside them.

Rows without a published number can be reproduced in direction only. pp: percentage points.
"""


# --- the numbers of a row ------------------------------------------------------------------------


def quantity(source: Source, entry: Mapping[str, Any]) -> Quantity | None:
    """The quantity that a node of the registry names, or None if it was not measured."""
    if "from" in entry:
        same = {k: v for k, v in entry.items() if k != "from"}
        return difference(quantity(source, same), quantity(source, {**same, "arm": entry["from"]}))
    if "computed" in entry:
        computed = COMPUTED[entry["computed"]]
        return Quantity.of_values(computed(source, entry)) if source.record(entry["arm"]) else None
    first = source.series(entry["arm"], entry["metric"])
    return (
        difference(first, source.series(entry["arm"], entry["less"])) if "less" in entry else first
    )


def difference(a: Quantity | None, b: Quantity | None) -> Quantity | None:
    return None if a is None or b is None else a - b


def estimate(source: Source, row: Mapping[str, Any]) -> Effect | None:
    """The effect of a row; `minus` pairs two quantities, `over` gives a geometric mean ratio."""
    ours = quantity(source, row["ours"])
    if "minus" in row:
        ours = difference(ours, quantity(source, row["minus"]))
    if "over" not in row:
        return None if ours is None else ours.effect
    other = quantity(source, row["over"])
    if ours is None or other is None:
        return None
    ratio = ours - other
    if ratio.dependent or ratio.common_sd:
        raise ValueError(f"{row['what']}: a ratio of values that share an error has no interval")
    logs = paired_effect(np.log(ours.series.values) - np.log(other.series.values))
    return replace(
        logs, effect=math.exp(logs.effect), low=math.exp(logs.low), high=math.exp(logs.high)
    )


def verdict(row: Mapping[str, Any], found: Effect | None) -> str:
    """The conclusion from the effect of a row; see the head of the document."""
    if found is None:
        return NOT_RUN
    null = row.get("beyond", 1.0 if "over" in row else 0.0)
    sides = {"above": found.low > null, "below": found.high < null}
    holds = sides[row["direction"]] if "direction" in row else None
    if "size" in row and holds is not False:
        low, high = row["size"]
        if low - ROUNDING <= found.low and found.high <= high + ROUNDING:
            return "reproduced in size"
    if holds:
        return "reproduced in direction"
    if holds is None:
        return "not reproduced (outside of the band)"
    other = sides["below" if row["direction"] == "above" else "above"]
    return f"not reproduced ({'opposite' if other else 'inconclusive'})"


# --- the document --------------------------------------------------------------------------------


def number(value: float, row: Mapping[str, Any]) -> str:
    """A value in the row's unit.

    >>> number(0.123, {"unit": "pp"}), number(0.123, {}), number(0.5585306, {"digits": 7})
    ('12.3', '0.123', '0.5585306')
    """
    if row.get("unit") in ("pp", "%"):
        return f"{100 * value:.1f}"
    return f"{value:.{row.get('digits', 3)}f}"


def shown(found: Effect, row: Mapping[str, Any]) -> str:
    """Mean, interval, unit and n."""
    unit = f" {row['unit']}" if "unit" in row else ""
    mean, low, high = (number(v, row) for v in (found.effect, found.low, found.high))
    return f"{mean}{unit} [{low}, {high}], n = {found.n}"


def lines(case: Mapping[str, Any], store: Store, data_dir: Path) -> list[str]:
    """The table's lines of a case, one per row."""
    if "golden" in case:
        return [golden_line(case, row, data_dir) for row in case["rows"]]
    source = Source.of_sweep(case["experiment"], store, data_dir)
    return [line(case, row, source) for row in case["rows"]]


def line(case: Mapping[str, Any], row: Mapping[str, Any], source: Source) -> str:
    found = estimate(source, row)
    record = source.record(row["ours"]["arm"])
    regime = str(record.arm.training["regime"]) if record else ""
    where = f"{record.arm.dataset.name}, {record.arm.model.name}, {regime}" if record else ""
    ours = NOT_RUN if found is None else shown(found, row)
    differs = f"{case['differs']} {row.get('differs', '')}".strip()
    command = f"`trustbench run +experiment={case['experiment']}`"
    return joined(case, row, ours, where, verdict(row, found), differs, command)


def golden_line(case: Mapping[str, Any], row: Mapping[str, Any], data_dir: Path) -> str:
    found = song(data_dir, row["model"], row["inputs"])
    exact = found is not None and abs(found - row["value"]) < 1e-6
    said = NOT_RUN if found is None else ("reproduced in size" if exact else "not reproduced")
    ours = NOT_RUN if found is None else f"{found:.7f} (no interval: fixed outputs)"
    return joined(
        case, row, ours, "published outputs", said, case["differs"], f"`{case['command']}`"
    )


def joined(case: Mapping[str, Any], row: Mapping[str, Any], *cells: str) -> str:
    first = (str(case["number"]), row["what"], f"{row['published']} ({case['source']})")
    ours, where, said, differs, command = cells
    return "| " + " | ".join((*first, ours, where, f"**{said}**", differs, command)) + " |"


def document(cases: Sequence[Mapping[str, Any]], store: Store, data_dir: Path) -> str:
    table = [each for case in cases for each in lines(case, store, data_dir)]
    verdicts = [each.split("**")[1] for each in table]
    counts = {v: verdicts.count(v) for v in sorted(set(verdicts))}
    summary = "; ".join(f"{v}: {n}" for v, n in counts.items())
    notes = [f"- **{c['number']} {c['title']}.** {c['note']}" for c in cases if "note" in c]
    return "\n".join(
        [
            HEAD,
            f"{len(table)} rows: {summary}.",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "|---" * len(COLUMNS) + "|",
            *table,
            "",
            "## Notes",
            "",
            *notes,
            "",
        ]
    )


def registry() -> list[dict[str, Any]]:
    """The cases, in the order of the table."""
    cases: list[dict[str, Any]] = yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))["cases"]
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("TRUSTBENCH_DATA", "data"))
    parser.add_argument(
        "--into", type=Path, default=ROOT / "outputs", help="output_dir of the runs"
    )
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "known-answers.md")
    a = parser.parse_args()
    text = document(registry(), Store(a.into), a.data)
    a.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
