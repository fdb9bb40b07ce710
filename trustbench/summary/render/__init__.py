"""Renderings of a table, and their single entry point."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from trustbench.errors import UserError, did_you_mean
from trustbench.store.files import write_own
from trustbench.store.reading import Damaged, read_bytes
from trustbench.store.records import Store
from trustbench.summary.render import csv_, json_, latex, markdown, png, terminal
from trustbench.summary.table.results import TableResult

FORMATS: dict[str, Callable[[Sequence[TableResult]], str | bytes]] = {
    "md": markdown.text,
    "csv": csv_.text,
    "json": json_.text,
    "tex": latex.text,
    "png": png.image,
    "terminal": terminal.text,
}
FILES = ("md", "csv", "json", "tex", "png")
"""The formats written as files; drawn ones last."""
DRAWN = ("png",)
NOTHING = (
    "there is no record to make a table of; run an experiment first, for example "
    "`trustbench run +experiment=dp_vs_fairness`."
)


def render(results: TableResult | Sequence[TableResult], format: str) -> str | bytes:
    """Renders one or several tables in a format; bytes for png, text otherwise.

    Raises UserError for an unknown format, or without any table.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}; {did_you_mean(format, FORMATS)}")
    tables = [results] if isinstance(results, TableResult) else list(results)
    if not tables:
        raise UserError(NOTHING)
    return FORMATS[format](tables)


def write_all(results: Sequence[TableResult], store: Store, experiment: str) -> list[Path]:
    """Writes each table in every file format below the store; returns the paths.

    A file with unchanged content is left alone. A picture, which takes a second to draw, is drawn
    only if one of the others has changed, since it shows nothing else.
    """
    paths = []
    for result in results:
        name = _file_name(result, experiment)
        changed = False
        for suffix in FILES:
            path = store.table_file(name, suffix)
            paths.append(path)
            if suffix in DRAWN and not changed and path.is_file():
                continue
            data = _content(result, suffix)
            if not _holds(path, data):
                write_own(path, data)
                changed = True
    return paths


def stored_tables(
    results: Sequence[TableResult], store: Store, experiment: str
) -> Iterator[tuple[Path, bool]]:
    """Each table's files, and whether their content is that of the table; not the pictures."""
    for result in results:
        for suffix in FILES:
            if suffix not in DRAWN:
                path = store.table_file(_file_name(result, experiment), suffix)
                yield path, _holds(path, _content(result, suffix))


def _file_name(result: TableResult, experiment: str) -> str:
    parts = (experiment, result.dataset, result.model, result.variant)
    return "-".join(_slug(p) for p in parts if p)


def _content(result: TableResult, suffix: str) -> bytes:
    content = render(result, suffix)
    return content if isinstance(content, bytes) else content.encode()


def _holds(path: Path, data: bytes) -> bool:
    try:
        return read_bytes(path, len(data)) == data
    except Damaged:
        return False


def _slug(text: str) -> str:
    """A name as one path segment."""
    return re.sub(r"[^A-Za-z0-9._=]+", "_", text).strip("._") or "_"
