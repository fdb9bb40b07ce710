"""Evaluates the lines of aa.py: the rates at which columns and tables raise false alarms."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from scipy.stats import beta, binom

from trustbench.config.compose.arguments import conf_dir
from trustbench.contracts.aspects import Aspect
from trustbench.store.records import Record
from trustbench.summary.stats.effects import Kind
from trustbench.summary.table.contrasts import Contrast, between, metrics_of, within
from trustbench.summary.table.grouping import ArmRecords, group_records
from trustbench.summary.table.registry import Table, load_table
from trustbench.summary.table.results import CellResult
from trustbench.summary.table.table import summarize

REGIMES = ("tuned", "memorising")
TABLE = "cresswell"
BAND = (0.02, 0.09)  # of the rate at which an interval excludes zero
CONSTANT = 0.9  # share of differences of exactly zero above which a column has no rate to speak of
TABLES_BAND = 0.07  # largest share of tables with a false harm or benefit


@cache
def registered_table() -> Table:
    return load_table(conf_dir() / "table" / f"{TABLE}.yaml")


def lines_file(folder: Path, setting: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{setting.replace(', ', '-').replace(' ', '_')}.jsonl"


def read(path: Path) -> dict[int, tuple[frozenset[str], list[Record]]]:
    """{seed: (evaluations seen, records)}; lines of one seed are merged by arm.

    Of each evaluator only the evaluations of its newest version are kept, and of several settings
    of that version those of the last line, for every seed.
    """
    found: dict[int, tuple[set[str], dict[str, Record]]] = defaultdict(lambda: (set(), {}))
    newest: dict[str, tuple[int, int, str]] = {}  # evaluator -> (version, line, evaluation id)
    for at, line in enumerate(path.read_text().splitlines() if path.exists() else ()):
        content = json.loads(line)
        seen, records = found[content["seed"]]
        seen.update(content["seen"])
        for data in content["records"]:
            record = Record.model_validate(data)
            for key, evaluation in record.evaluations.items():
                name, version = evaluation.evaluator.name, evaluation.evaluator.version
                newest[name] = max(newest.get(name, (0, 0, "")), (version, at, key))
            records.setdefault(record.id, record).evaluations.update(record.evaluations)
    kept = {key for _, _, key in newest.values()}
    for _, records in found.values():
        for record in records.values():
            for key in set(record.evaluations) - kept:
                del record.evaluations[key]
    return {s: (frozenset(seen), list(r.values())) for s, (seen, r) in sorted(found.items())}


@dataclass
class Column:
    """How often the interval of one column excluded zero, over repetitions."""

    excluded: int = 0
    n: int = 0
    ties: float = 0.0  # the share of differences that are exactly zero, summed over repetitions
    effects: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)  # standard errors of the intervals

    def add(self, contrast: Contrast) -> None:
        e = contrast.effect
        self.n += 1
        self.excluded += e.low > 0 or e.high < 0
        self.ties += float((contrast.differences == 0).mean())
        self.effects.append(e.effect)
        self.errors.append(e.error)

    @property
    def rate(self) -> float:
        return self.excluded / self.n

    @property
    def spread(self) -> float:
        """The standard deviation of the effects over the root mean square standard error: 1 when
        replicates are independent, more where their differences move together."""
        rms = float(np.sqrt(np.mean(np.square(self.errors))))
        return float(np.sqrt(np.mean(np.square(self.effects)))) / rms if rms else float("nan")


def columns(lines: dict[int, tuple[frozenset[str], list[Record]]]) -> dict[tuple, Column]:
    """{(regime, contrast, metric): Column}: reseed - baseline, and observed - null on reseed."""
    found: dict[tuple, Column] = defaultdict(Column)
    for _, records in lines.values():
        group = group_records(records)[0]
        for regime in REGIMES:
            reseed, baseline = group.reseed(regime), group.baseline(regime)
            for metric in metrics_of(reseed, group.evaluations) if reseed else ():
                contrast = between(reseed, baseline, metric, group.evaluations)
                if isinstance(contrast, Contrast):
                    found[regime, "reseed - baseline", metric].add(contrast)
            for metric, against in (*nulls(), *permuted(reseed)) if reseed else ():
                contrast = within(reseed, metric, against, group.evaluations)
                if isinstance(contrast, Contrast):
                    name = f"{metric} - {against}".replace(f"- {metric.split('/')[0]}/", "- ")
                    found[regime, "observed - null", name].add(contrast)
    return dict(sorted(found.items()))


@cache
def nulls() -> tuple[tuple[str, str | float], ...]:
    """Every (metric, against) that the table registers."""
    measures = [c.measure(binary) for c in registered_table().cells for binary in (False, True)]
    named = [m for measure in measures if measure for m in (measure, *measure.secondary)]
    found = {(m.metric, m.against) for m in named if m.against is not None}
    return tuple(sorted(found, key=str))


def permuted(arm: ArmRecords) -> list[tuple[str, str]]:
    """(gap, the same with groups permuted) of every gap that has such a twin, registered or not."""
    evaluations = [e for record in arm.records.values() for e in record.evaluations.values()]
    pairs = {
        (f"{e.evaluator.name}/{name}", f"{e.evaluator.name}/{name}_permuted")
        for e in evaluations
        for name in e.measurements
        if f"{name}_permuted" in e.measurements
    }
    return sorted(pairs - set(nulls()))


def false_verdicts(lines: dict) -> tuple[int, int, int]:
    """Tables with a false harm or benefit in the reseed row, tables, and cells in the family.

    Repetitions that were measured for some columns only have no whole table and do not count.
    """
    rows = [summarize(records, registered_table())[0].reseed for _, records in lines.values()]
    # without any spread a cell is not applicable: measured, and without a false verdict
    judged = [[c for c in row if _in_family(c)] for row in rows]
    family = max(map(len, judged), default=0)
    whole = [cells for cells in judged if len(cells) == family > 0]
    wrong = sum(any(c.verdict.kind in (Kind.HARM, Kind.BENEFIT) for c in cells) for cells in whole)
    return wrong, len(whole), family


def _in_family(cell: CellResult) -> bool:
    aspects = {a.value for a in Aspect}
    return cell.target in aspects and cell.verdict.kind is not Kind.NOT_MEASURED


def clopper_pearson(k: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a binomial rate."""
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    return low, float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0


def left_by_chance(n: int) -> float:
    """The probability that a column of level .05 shows a rate outside the band."""
    low, high = np.ceil(BAND[0] * n), np.floor(BAND[1] * n)
    return 1 - float(binom.cdf(high, n, 0.05) - binom.cdf(low - 1, n, 0.05))


def verdict_of(column: Column) -> str:
    """Whether the rate is in the band, or whether even its interval lies outside."""
    if column.ties / column.n > CONSTANT:
        return "hardly varies here"
    if BAND[0] <= column.rate <= BAND[1]:
        return ""
    low, high = clopper_pearson(column.excluded, column.n)
    return "**outside**" if high < BAND[0] or low > BAND[1] else "outside, by chance or not"


def section(setting: str, overrides: list[str], lines: dict) -> list[str]:
    found = columns(lines)
    wrong, tables, family = false_verdicts(lines)
    text = [
        f"## {setting}",
        "",
        f"`{' '.join(overrides)}`; n = {len(lines)} repetitions.",
        "",
    ]
    if tables:
        low, high = clopper_pearson(wrong, tables)
        good = "within" if wrong <= TABLES_BAND * tables else "**above**"
        text += [
            (
                f"Tables with a false harm or benefit (Holm over {family} cells of the reseed "
                f"row): {wrong} of {tables} ({wrong / tables:.3f}, 95 % [{low:.3f}, {high:.3f}]), "
                f"{good} the {TABLES_BAND:.0%} allowed."
            ),
            "",
        ]
    between_columns = [c for (_, kind, _), c in found.items() if kind == "reseed - baseline"]
    outside = sum("outside" in verdict_of(c) for c in between_columns)
    chance = sum(left_by_chance(c.n) for c in between_columns)
    pooled = sum(c.excluded for c in between_columns) / sum(c.n for c in between_columns)
    text += [
        (
            f"{len(between_columns)} columns, {outside} outside of "
            f"[{BAND[0]:.0%}, {BAND[1]:.0%}] (about {chance:.0f} would be by chance); "
            f"all together exclude zero in {pooled:.3f} of the cases."
        ),
        "",
        "| column | regime | n | rate | 95 % of the rate | ties | spread | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (regime, kind, metric), c in found.items():
        # A null within one arm is known to be true only if groups mean nothing.
        judged = kind == "reseed - baseline" or "shuffled" in setting
        low, high = clopper_pearson(c.excluded, c.n)
        text.append(
            f"| `{metric}` | {regime} | {c.n} | {c.rate:.3f} | [{low:.3f}, {high:.3f}] | "
            f"{c.ties / c.n:.2f} | {c.spread:.2f} | {verdict_of(c) if judged else ''} |"
        )
    return [*text, ""]


HEAD = """# A/A: how often a column raises a false alarm

Made by `python scripts/studies/aa.py --repetitions N --jobs 2 --setting {settings}{narrowed}`,
with the N of each section; do not edit.

Two arms that differ by initialisation and batch order only (the baseline and its `reseed`
control) on the same halves of small data, trained and measured anew in every repetition. *rate*:
how often the unadjusted 95 % interval of the paired difference excludes zero, which should be
.05; *ties*: the share of differences that are exactly zero; *spread*: the standard deviation of
the effect over repetitions, over the standard error that the interval assumes. Above 1 the
replicates' differences move together. A row `metric - null` is a registered observed - null
contrast on the reseed arm alone: its true value is zero only where the setting makes it so.
"""


def report(
    folder: Path, out: Path, settings: dict[str, list[str]], only: Sequence[str] = ()
) -> None:
    """Writes and prints what the lines in `folder` show for each setting.

    `only` are the evaluators to which the command behind the lines was restricted.
    """
    found = {s: read(lines_file(folder, s)) for s in settings}
    found = {s: lines for s, lines in found.items() if lines}
    named = " ".join(f"'{s}'" if " " in s else s for s in found)
    narrowed = f" --only {' '.join(only)} --out docs/results/{out.name}" if only else ""
    text = [HEAD.format(settings=named, narrowed=narrowed)]
    for setting, lines in found.items():
        text += section(setting, settings[setting], lines)
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    print("\n".join(text))
