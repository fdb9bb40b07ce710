"""The report: the table with its evidence as one HTML file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trustbench.api.lookup import find_policy
from trustbench.api.records import Records
from trustbench.api.tables import chosen_table, evaluations_to_read
from trustbench.contracts import Array
from trustbench.errors import StorageError, UserError
from trustbench.store.files import write_atomically, write_own
from trustbench.store.records import Record, Store, Sweep
from trustbench.summary.decide.policy import Policy
from trustbench.summary.report import document
from trustbench.summary.table.registry import Table
from trustbench.summary.table.results import TableResult
from trustbench.summary.table.table import summarize

LARGEST = 5_000_000
"""Larger reports, in bytes, are kept on disk only."""


def report(
    records: Sequence[Record],
    path: str | Path = "report.html",
    *,
    table: str | Path | Table | None = None,
    policy: str | Path | Policy | None = None,
    config_dir: str | Path | None = None,
) -> Path:
    """Writes one self-contained HTML file: table, cells, curves, provenance; returns its path.

    `table` is chosen as in `trustbench.table`; `policy` weights the risks.

    Raises:
        UserError: unknown table or policy, records that cannot be compared, a file that cannot
            be written.

    >>> from tempfile import TemporaryDirectory
    >>> from trustbench.api.runs import run
    >>> arms = {"intervention": "none,dpsgd", "evaluator": ["utility", "fairness"]}
    >>> small = {"protocol.replicates": 4, "hydra/launcher": "basic"}
    >>> records = run(arms, small, multirun=True, output_dir="outputs")
    >>> with TemporaryDirectory() as folder:
    ...     path = report(records, f"{folder}/report.html")
    ...     "<html" in path.read_text()
    True
    """
    weights = find_policy(policy, config_dir) if isinstance(policy, str | Path) else policy
    results = summarize(
        list(records), chosen_table(records, table, config_dir), evaluations_to_read(records)
    )
    sweep = records.sweep if isinstance(records, Records) else None
    experiment = sweep.experiment if sweep else None
    arrays: Callable[[str], Mapping[str, Any]] = _no_arrays
    if isinstance(records, Records):
        arrays = records.arrays
    text = document(
        results, list(records), evaluations_to_read(records), arrays, experiment, weights
    )
    return write_file(text.encode(), path)


def write_report(
    results: Sequence[TableResult], records: Sequence[Record], store: Store, sweep: Sweep
) -> Path | None:
    """Writes the report of a sweep beside its tables; returns None if it is too large to share."""
    text = document(results, records, sweep.evaluations, store.arrays, sweep.experiment).encode()
    path = store.table_file(sweep.experiment, "html")
    write_own(path, text)
    return path if len(text) <= LARGEST else None


def write_file(data: bytes, output: str | Path) -> Path:
    """Writes a file completely or not at all; returns its path or raises UserError."""
    path = Path(output).expanduser().absolute()
    try:
        write_atomically(path, data)
    except StorageError as error:
        why = error.__cause__  # the message of StorageError is about stores
        raise UserError(
            f"--output {output} cannot be written ({why}); give another file."
        ) from error
    return path


def _no_arrays(_arm: str) -> Mapping[str, Array]:
    return {}
