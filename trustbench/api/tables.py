"""The table of records, as an object that a notebook shows and a script reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from trustbench.api.lookup import DEFAULT_TABLE, find_table
from trustbench.api.records import Records
from trustbench.errors import UserError
from trustbench.store.records import Record
from trustbench.summary.render import NOTHING, html, render
from trustbench.summary.render.json_ import document
from trustbench.summary.table.registry import Table
from trustbench.summary.table.results import TableResult
from trustbench.summary.table.table import summarize

if TYPE_CHECKING:
    import pandas as pd

CELL = (
    "dataset", "model", "variant", "source", "target", "intervention", "dose", "evaluator",
    "metric", "unit", "effect", "low", "high", "n", "p_holm", "verdict", "reason", "regime",
    "unreliable", "delta", "expected",
)  # fmt: skip
"""The columns of `Tables.cells`."""
ARM = (
    "dataset", "model", "variant", "arm", "target", "dose", "evaluator", "metric", "unit",
    "effect", "low", "high", "n", "p_bh", "verdict", "reason", "regime", "below_floor",
)  # fmt: skip
"""The columns of `Tables.arms`."""


@dataclass(frozen=True)
class Tables:
    """One table for each data set and model among the records.

    `print(tables)` shows them as the command line does, a notebook as HTML.
    """

    results: tuple[TableResult, ...]
    """The computed tables; every rendering reads these and nothing else."""

    @cached_property
    def cells(self) -> "pd.DataFrame":
        """One row for each cell, with its verdict; `effect` is in units of harm, positive is worse.

        A cell without a number has no `effect` and a `reason`.
        """
        return self._frame("cells")

    @cached_property
    def utility(self) -> "pd.DataFrame":
        """The same for the effect of each aspect's method on utility."""
        return self._frame("utility")

    @cached_property
    def reseed(self) -> "pd.DataFrame":
        """The same for the control that trains the baseline again: each column's false alarms."""
        return self._frame("reseed")

    @cached_property
    def arms(self) -> "pd.DataFrame":
        """One row for each treated arm and target, doses and combinations included: exploratory."""
        import pandas as pd

        rows = [
            {**arm, **effect, "target": target}
            for arm in document(self.results)["arms"]
            for target, effect in arm["effects"].items()
        ]
        return pd.DataFrame(rows, columns=[*ARM])

    def render(self, format: str) -> str | bytes:
        """Renders the tables as `terminal`, `md`, `csv`, `json`, `tex` (text) or `png` (bytes)."""
        return render(self.results, format)

    def __str__(self) -> str:
        return str(self.render("terminal"))

    def _repr_html_(self) -> str:
        return html.text(self.results)

    def _frame(self, kind: str) -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame(document(self.results)[kind], columns=[*CELL])


def table(
    records: Sequence[Record],
    table: str | Path | Table | None = None,
    *,
    config_dir: str | Path | None = None,
) -> Tables:
    """Builds the table of records, with intervals and verdicts.

    `records` is the result of `run` or `load_records`, or a list of records. `table` names a
    registered table or a YAML file; by default the one with which the sweep was run, else
    `cresswell`. `config_dir` is a folder with your own options.

    Raises:
        UserError: unknown table, records that cannot be compared, or no records.

    >>> from trustbench.api.runs import run
    >>> arms = {"intervention": "none,dpsgd", "evaluator": ["utility", "fairness"]}
    >>> small = {"protocol.replicates": 4, "hydra/launcher": "basic"}
    >>> records = run(arms, small, multirun=True, output_dir="outputs")
    >>> cells = table(records).cells.set_index(["source", "target"])
    >>> cells.loc[("privacy", "fairness"), ["intervention", "metric", "verdict"]].tolist()
    ['dpsgd', 'acc_gap', 'harm']
    """
    results = summarize(
        list(records), chosen_table(records, table, config_dir), evaluations_to_read(records)
    )
    if not results:
        raise UserError(NOTHING)
    return Tables(tuple(results))


def chosen_table(
    records: Sequence[Record], table: str | Path | Table | None, config_dir: str | Path | None
) -> Table:
    """The requested table, else the sweep's own, else the default."""
    if isinstance(table, Table):
        return table
    sweep = records.sweep if isinstance(records, Records) else None
    return find_table(table or (sweep.table if sweep else DEFAULT_TABLE), config_dir, records)


def evaluations_to_read(records: Sequence[Record]) -> list[str] | None:
    """The evaluation ids that may be read; None: all."""
    return records.evaluations if isinstance(records, Records) else None
