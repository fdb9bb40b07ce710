"""`trustbench list`: every available option, with the line that describes it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from trustbench.commands.parsing import add_config_dir, parser
from trustbench.config.compose import conf_dirs
from trustbench.config.plugins import describe, discover
from trustbench.summary.table.registry import Measure, Table, load_table

KINDS = {
    "datasets": "dataset",
    "models": "model",
    "interventions": "intervention",
    "evaluators": "evaluator",
    "metrics": "",
    "experiments": "experiment",
    "tables": "table",
    "policies": "policy",
}


def main(args: Sequence[str]) -> int:
    """Returns 0 once the options are printed."""
    p = parser("list", "Every option there is. Use it as dataset=NAME, +experiment=NAME, ...")
    p.add_argument("kind", nargs="?", choices=KINDS, help="default: all kinds")
    add_config_dir(p)
    given = p.parse_args(args)
    dirs = conf_dirs(given.config_dir)
    for kind in [given.kind] if given.kind else KINDS:
        rows = sorted(_metrics(dirs)) if kind == "metrics" else _options(KINDS[kind], dirs)
        if given.kind is None:
            print(f"{kind}:")  # noqa: T201
        width = max((len(name) for name, _ in rows), default=0)
        for name, about in rows:
            print(f"  {name:<{width}}  {about}".rstrip())  # noqa: T201
    return 0


def _options(group: str, dirs: Sequence[Path]) -> list[tuple[str, str]]:
    return [(name, describe(path)) for name, path in discover(group, dirs).items()]


def _metrics(dirs: Sequence[Path]) -> list[tuple[str, str]]:
    """The metrics that a registered table uses, and where it uses them."""
    found: dict[str, list[str]] = {}
    known = discover("table", dirs)
    for path in known.values():
        for metric, where in _read(load_table(path, known)):
            found.setdefault(metric, []).append(where)
    return [(metric, "; ".join(dict.fromkeys(where))) for metric, where in found.items()]


def _read(table: Table) -> Iterator[tuple[str, str]]:
    """(metric, where it is used) of every measure of a table."""
    for where, measure in _measures(table):
        read = [(measure, "")] + [(beside, ", secondary") for beside in measure.secondary]
        for metric, how in read:
            yield metric.metric, f"{table.name}: {where}{how}"
            if isinstance(metric.against, str):
                yield metric.against, f"{table.name}: {where}{how} null"


def _measures(table: Table) -> Iterator[tuple[str, Measure]]:
    yield "utility", table.utility
    for aspect, column in table.columns.items():
        yield f"column {aspect.letter}", column
        if column.binary is not None:
            yield f"column {aspect.letter}, two classes", column.binary
    for cell in table.cells:
        if cell.column is not None and cell.column is not table.columns[cell.target]:
            yield f"cell {cell.source.letter}→{cell.target.letter}", cell.column
