"""Raw tables: read as text, every field checked, each complaint one sentence."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from trustbench.contracts import Array
from trustbench.errors import DataError, did_you_mean


def read_fields(
    name: str, path: Path, columns: Sequence[str], separator: str, comment: str | None = None
) -> pd.DataFrame:
    """A file without a header as text fields [n, columns]; blank lines are skipped.

    Raises:
        DataError: a line has more or fewer fields, or the file is no text of this kind.
    """
    surplus = "beyond the last column"
    frame = _parsed(
        name,
        path,
        sep=separator,
        names=[*columns, surplus],
        header=None,
        comment=comment,
        skipinitialspace=True,
    )
    given = (frame != "").sum(axis=1)
    wrong = (given != len(columns)) | (frame[surplus] != "")
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"dataset {name}: record {row + 1} of {path} has {int(given.iloc[row])} fields (or "
            f"more); each has {len(columns)}: {', '.join(columns)}. Fetch the file again."
        )
    return frame.drop(columns=surplus)


def read_csv(name: str, path: Path, needed: Sequence[str]) -> pd.DataFrame:
    """The needed columns of a CSV file with a header, as text.

    Raises:
        DataError: a column is missing, or the file is no CSV.
    """
    frame = _parsed(name, path, sep=",")
    require(name, path, frame, needed)
    return frame[list(needed)]


def require(name: str, path: Path, frame: pd.DataFrame, needed: Sequence[str]) -> None:
    """Raises DataError, naming the first column of `needed` that the table lacks."""
    missing = [c for c in needed if c not in frame.columns]
    if missing:
        raise DataError(
            f"dataset {name}: {path} has no column {missing[0]!r}; "
            f"{did_you_mean(missing[0], map(str, frame.columns))}"
        )


def numbers(name: str, frame: pd.DataFrame, column: str) -> Array:
    """A column as finite numbers, float64 [n]; DataError names the first that is none."""
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        given = frame[column].iloc[int(bad.argmax())]
        raise DataError(
            f"dataset {name}: column {column} holds {given!r} where a number belongs; "
            "fetch the file again."
        )
    return values


def codes(name: str, frame: pd.DataFrame, column: str, meaning: Mapping[str, int]) -> Array:
    """A column of labels as integers, int64 [n]; DataError names the first unknown label."""
    mapped = frame[column].map(meaning)
    bad = mapped.isna().to_numpy()
    if bad.any():
        given = frame[column].iloc[int(bad.argmax())]
        raise DataError(
            f"dataset {name}: column {column} holds {given!r}; allowed: "
            f"{', '.join(meaning)}. Fetch the file again."
        )
    return mapped.to_numpy(dtype=np.int64)


def choose(name: str, field: str, given: str, allowed: Mapping[str, object]) -> None:
    """Raises DataError when the dataset's field has a value that is not allowed."""
    if given not in allowed:
        raise DataError(
            f"dataset {name}: {field}={given} is unknown; {did_you_mean(given, allowed)}"
        )


def _parsed(name: str, path: Path, **options: object) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # pandas only warns where a line has too many fields, and drops them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, **options)  # type: ignore[call-overload]
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        raise DataError(
            f"dataset {name}: {path} cannot be read as a table ({' '.join(str(error).split())}); "
            "fetch the file again."
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"dataset {name}: {path} is not text ({error.reason}); fetch the file again."
        ) from error
    if frame.empty:
        raise DataError(f"dataset {name}: {path} holds no rows; fetch the file again.")
    return pd.DataFrame(frame)
