"""Writes the section of docs/security.md on bounds of input, from the constants in the code.

run: python scripts/pages/input_bounds.py
"""

from collections.abc import Iterator
from pathlib import Path

from trustbench.contracts import unpacking
from trustbench.datasets.loading import download
from trustbench.datasets.loading.frames import arrow_files, text_files
from trustbench.store import reading, yaml_text
from trustbench.tracking import transport

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
START, END = "<!-- bounds -->", "<!-- /bounds -->"


def bounds() -> Iterator[tuple[str, str, str]]:
    """(input, what is bounded, bound)."""
    yield "JSON of the store", "size", _bytes(reading.TEXT)
    yield "arrays and trained replicates of the store", "size", _bytes(reading.ARRAYS)
    packed = f"{_bytes(unpacking.SMALL)}, or {unpacking.RATIO} times the file's own size"
    for what in ("arrays", "models of skops", "tables in gzip, Parquet or Arrow"):
        yield what, "size when unpacked", packed
    yield "tables as text", "columns", f"{text_files.WIDEST:,}"
    yield "Parquet and Arrow", "entries of a list that become columns", f"{arrow_files.MANY:,}"
    yield "downloads, and the archives in them", "size", _bytes(download.LARGEST)
    yield "downloads", "silence", f"{download.TIMEOUT_S:.0f} s"
    yaml = "policies, tables, options and other YAML"
    yield yaml, "size", _bytes(yaml_text.LONGEST)
    yield yaml, "depth", f"{yaml_text.DEEPEST} levels"
    yield yaml, "values, aliases filled in", f"{yaml_text.MOST_VALUES:,}"
    yield yaml, "digits of a number", f"{yaml_text.MOST_DIGITS}"
    yield "an answer of an MLflow server", "size", f"{transport.LONGEST_MB} MiB"
    silence = f"{transport.SILENCE_S:.0f} s, and 1 s for each {transport.SLOWEST:,} bytes"
    yield "an answer of an MLflow server", "time", silence


def section() -> str:
    """The table in Markdown."""
    rows = [f"| {' | '.join(row)} |" for row in (("input", "what", "at most"), *bounds())]
    return "\n".join([rows[0], "|---|---|---|", *rows[1:]])


def page(text: str) -> str:
    """The page with the section of today."""
    head, _, rest = text.partition(START)
    return f"{head}{START}\n\n{section()}\n\n{END}{rest.partition(END)[2]}"


def _bytes(count: int) -> str:
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if count >= 2**power:
            return f"{count // 2**power} {unit}"
    return f"{count:,} bytes"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
