"""A user's own table as a data set."""

from dataclasses import dataclass

from trustbench.datasets.loading.own.own_table import OwnTable


@dataclass(frozen=True)
class TableDataset(OwnTable):
    """A file of rows with a column to predict; `OwnTable` describes its settings."""
