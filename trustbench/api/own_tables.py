"""Tables that are given as a DataFrame: kept as a file, which all processes of a run read."""

from pathlib import Path
from typing import TYPE_CHECKING

from pyarrow import ArrowException

from trustbench.errors import DataError
from trustbench.store import given

if TYPE_CHECKING:
    import pandas as pd


def keep_table(table: "pd.DataFrame", output_dir: Path) -> Path:
    """Writes a DataFrame below `output_dir`, under the digest of its content; returns the file.

    Its index is left out.

    Raises:
        DataError: a column has no name, or holds values of several types.
    """
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        raise DataError(f"table is a {type(table).__name__}; give a pandas.DataFrame.")
    names: list[object] = list(table.columns)
    unnamed = [c for c in names if not isinstance(c, str)]
    if unnamed:
        raise DataError(
            f"table: column {unnamed[0]!r} has a name that is not text; rename it: "
            "table.rename(columns=str)."
        )
    try:
        content = table.to_parquet(index=False)
    except (ArrowException, ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"table: it cannot be kept as a file ({' '.join(str(error).split())}); give each "
            "column values of one type, such as table[NAME].astype(str)."
        ) from error
    assert isinstance(content, bytes)
    return given.keep(output_dir, content)
