"""What trustbench understands of a user's own table, before anything runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from trustbench.config.compose import run_request
from trustbench.contracts import SPLITS, Array
from trustbench.contracts.encoding import CategoryColumn
from trustbench.contracts.seeding import Streams
from trustbench.contracts.shortening import listed
from trustbench.datasets.loading.frames import Frame
from trustbench.datasets.loading.own.own_table import OwnTable
from trustbench.datasets.loading.own.prepare import Prepared
from trustbench.datasets.loading.own.rules import merged_levels
from trustbench.datasets.loading.own.values import (
    as_written,
    is_date,
    is_number,
    levels_of,
    number_text,
)
from trustbench.errors import ConfigError
from trustbench.store.files import write_atomically
from trustbench.summary.render.text_table import aligned

HEAD = ("column", "kind", "values", "missing", "use")


@dataclass(frozen=True)
class TableCheck:
    """A table as it was understood: lines to read, and settings to keep."""

    lines: tuple[str, ...]
    schema: Mapping[str, Any]

    def write(self, path: Path) -> None:
        """Writes the settings as a YAML file that `dataset.schema` reads.

        Raises:
            ConfigError: the file exists and holds something else, or its folder does not exist.
        """
        text = (
            "# How a table is understood; edit it, and read it with dataset=table "
            f"dataset.schema={path.name}\n"
        ) + yaml.safe_dump(
            dict(self.schema), sort_keys=False, allow_unicode=True, default_flow_style=None
        )
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise ConfigError(
                f"{path} exists and holds something else; move it, or give another --schema FILE."
            )
        if not path.parent.is_dir():
            raise ConfigError(f"{path.parent} is not a folder; give --schema FILE in one.")
        write_atomically(path, text.encode())


def check_table(args: Sequence[str]) -> TableCheck:
    """Reads the table that the arguments of a run describe, as the run would; trains nothing.

    Raises:
        UserError: the overrides are wrong, or the table cannot be used as declared.
    """
    asked = run_request(args)
    if asked is None:
        raise ConfigError("a check of a table takes key=value only; drop the flag that prints.")
    arm = asked.first
    dataset = arm.dataset.plugin
    if not isinstance(dataset, OwnTable):
        raise ConfigError(
            f"dataset={arm.dataset.name} has a loader of its own; run `trustbench data check "
            f"{arm.dataset.name}`, or give dataset=table dataset.path=FILE."
        )
    frame = dataset.read(arm.data_dir)
    if dataset.target is None:
        table = as_written(frame.table, frame.understood.booleans)
        lines = _unprepared(frame, table)
        return TableCheck(tuple(lines), _schema(dataset, frame, {}))
    prepared = dataset.prepared(arm.data_dir, Streams(arm.seed), frame)
    kinds = {name: {"kind": kind} for name, kind in prepared.columns.kinds.items()}
    lines = _lines(dataset, frame, prepared)
    return TableCheck(tuple(lines), _schema(dataset, frame, kinds))


def _unprepared(frame: Frame, table: pd.DataFrame) -> Iterator[str]:
    """What can be said before a target is named."""
    yield from _read(frame)
    yield ""
    rows = [[str(name), *_values(table[name])] for name in table.columns]
    yield from aligned(("column", "values", "missing"), rows)
    yield ""
    yield "next: name the class to predict, dataset.target=COLUMN"


def _lines(dataset: OwnTable, frame: Frame, prepared: Prepared) -> Iterator[str]:
    yield from _read(frame)
    yield ""
    yield from aligned(HEAD, list(_columns(dataset, prepared)))
    yield ""
    yield from _classes(dataset, prepared)
    yield ""
    yield from _groups(prepared)
    yield ""
    yield from _splits(dataset, prepared)
    notes = [f"note: {f.text}" for f in prepared.findings if f.kind == "note"]
    warnings = [f"warning: {f.text}" for f in prepared.findings if f.kind != "note"]
    yield from ("", *notes, *warnings) if prepared.findings else ()


def _read(frame: Frame) -> Iterator[str]:
    rows, columns = frame.table.shape
    yield f"{rows:,} rows, {columns} columns"
    # the table below shows the columns; that one was dropped as a copy shows nowhere else
    form = [x for x in frame.described() if not x.startswith("column ") or "occurs twice" in x]
    yield from (f"  {line}" for line in form)
    yield from (f"  doubt: {text}" for text in frame.doubts.values())


def _columns(dataset: OwnTable, prepared: Prepared) -> Iterator[list[str]]:
    columns, table = prepared.columns, prepared.table
    rules = {r.name: r for r in prepared.inputs.rules if isinstance(r, CategoryColumn)}
    block_of = {name: block.name for block in columns.blocks for name in block.columns}
    embedded: set[str] = set()
    for name in table.columns:
        use, kind = _use(str(name), dataset, prepared), columns.kinds.get(name, "")
        if name in block_of:
            if block_of[name] not in embedded:
                n = len(next(b for b in columns.blocks if b.name == block_of[name]).columns)
                yield [f"{block_of[name]} ({n} columns)", "embedding", "numbers", "0", "input"]
            embedded.add(block_of[name])
            continue
        values, missing = _values(table[name])
        if name in rules and rules[name].other is not None:
            levels, rows = merged_levels(table[name], rules[name])
            values += f"; {levels:,} rare levels ({rows:,} rows) become {rules[name].other}"
        yield [str(name), kind, values, missing, use]


def _use(name: str, dataset: OwnTable, prepared: Prepared) -> str:
    if name == dataset.target:
        return "target"
    uses = ["input"] if name in prepared.columns.names else ["left out"]
    if name in dataset.sensitive:
        uses.append("sensitive")
    if name == dataset.split.column:
        uses.append("split")
    change = prepared.columns.changes.get(name, "any")
    if uses[0] == "input" and change != "any":
        uses.append("immutable" if change == "none" else f"only {change}")
    return ", ".join(uses)


def _values(values: Any) -> tuple[str, str]:
    """(what a column holds, how many values are missing) in words."""
    missing = f"{int(values.isna().sum()):,}"
    present = values.dropna()
    if present.empty:
        return "none", missing
    if is_date(values):
        return f"{present.min():%Y-%m-%d} to {present.max():%Y-%m-%d}", missing
    if is_number(values) and present.nunique() > 2:
        low, middle, high = np.quantile(present.to_numpy(dtype=np.float64), [0, 0.5, 1])
        return " | ".join(number_text(float(v)) for v in (low, middle, high)), missing
    position, names = levels_of(present)
    counts = np.bincount(position, minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    return listed([f"{names[k]} {counts[k]:,}" for k in order], 4), missing


def _classes(dataset: OwnTable, prepared: Prepared) -> Iterator[str]:
    problem, y = prepared.problem, prepared.target.y
    counts = np.bincount(y, minlength=len(problem.classes))
    shares = [f"{c} {n:,} ({100 * n / len(y):z.1f} %)"
              for c, n in zip(problem.classes, counts, strict=True)]  # fmt: skip
    yield f"target {dataset.target}: {', '.join(shares)}"
    if prepared.target.favourable:
        how = "assumed" if prepared.target.assumed else "declared"
        yield f"  favourable: {' and '.join(prepared.target.favourable)}, {how}"
    if prepared.unlabelled:
        yield f"  {prepared.unlabelled:,} rows have no class and are left out"


def _groups(prepared: Prepared) -> Iterator[str]:
    problem, of = prepared.problem, prepared.grouped.groups.codes
    yield f"groups by {problem.group_name}:"
    shown = problem.classes[1:] if problem.binary else problem.classes
    tested = problem.group[problem.splits["test"]]
    rows = [
        [name, f"{(of == k).sum():,}", f"{(tested == k).sum():,}", *_rates(prepared, of == k)]
        for k, name in enumerate(problem.groups)
    ]
    yield from aligned(("group", "rows", "test rows", *(f"% {c}" for c in shown)), rows)
    if prepared.grouped.merged:
        yield f"  {prepared.grouped.merged}"


def _rates(prepared: Prepared, rows: Array) -> list[str]:
    problem, y = prepared.problem, prepared.target.y[rows]
    first = 1 if problem.binary else 0
    return [f"{100 * (y == c).mean():z.1f}" for c in range(first, len(problem.classes))]


def _splits(dataset: OwnTable, prepared: Prepared) -> Iterator[str]:
    split = dataset.split
    by = "at random, stratified" if split.by == "random" else f"by {split.by} {split.column}"
    yield f"split {by}:"
    problem = prepared.problem
    rows = []
    for name in SPLITS:
        y = problem.rows(name)[1]
        share = np.bincount(y, minlength=len(problem.classes)) / len(y)
        first = 1 if problem.binary else 0
        rows.append([name, f"{len(y):,}", *(f"{100 * s:z.1f}" for s in share[first:])])
    shown = problem.classes[1:] if problem.binary else problem.classes
    yield from aligned(("part", "rows", *(f"% {c}" for c in shown)), rows)


def _schema(dataset: OwnTable, frame: Frame, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a dataset that are not defaults, with what was understood."""
    defaults = OwnTable()
    given = {
        f.name: _plain(getattr(dataset, f.name))
        for f in fields(dataset)
        if f.name != "schema" and getattr(dataset, f.name) != getattr(defaults, f.name)
    }
    declared = {name: _short(column) for name, column in dataset.columns.items()}
    columns = {name: {**kind, **declared.pop(name, {})} for name, kind in kinds.items()} | declared
    head = {"path": given.pop("path", None), "reading": frame.understood.plain()}
    given.pop("reading", None)
    given.pop("columns", None)
    return head | given | ({"columns": columns} if columns else {})


def _short(declared: Any) -> dict[str, Any]:
    """The fields of a declared column that are not defaults."""
    plain = type(declared)()
    return {
        f.name: _plain(getattr(declared, f.name))
        for f in fields(declared)
        if getattr(declared, f.name) != getattr(plain, f.name)
    }


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value
