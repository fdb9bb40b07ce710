"""The rows of an audit are what `pandas.read_csv` gives, which models are fitted on."""

import numpy as np
import pandas as pd
import pytest

from trustbench.datasets.loading.frames import Reading
from trustbench.errors import DataError
from trustbench.execution.audit.reading import read_rows


def test_a_file_is_read_as_pandas_reads_it(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "owner": rng.choice(["yes", "no"], 60),
            "flag": rng.choice([True, False], 60),
            "bit": rng.integers(0, 2, 60),
            "children": rng.integers(0, 5, 60),
            "income": rng.normal(size=60),
            "town": rng.choice(["north", "south"], 60),
        }
    )
    table.to_csv(tmp_path / "a.csv", index=False)
    read, wanted = read_rows(tmp_path / "a.csv", Reading()), pd.read_csv(tmp_path / "a.csv")
    assert list(read.columns) == list(wanted.columns)
    for column in wanted.columns:
        assert read[column].tolist() == wanted[column].tolist(), column
        assert read[column].dtype.kind.replace("T", "O") in (wanted[column].dtype.kind, "O")


def test_a_frame_stays_as_it_is_and_an_absent_file_is_named(tmp_path):
    frame = pd.DataFrame({"a": [1, 2]}, index=[5, 6])
    assert read_rows(frame, Reading()).equals(frame.reset_index(drop=True))
    with pytest.raises(DataError, match=r"absent\.csv is not a file"):
        read_rows(str(tmp_path / "absent.csv"), Reading())
