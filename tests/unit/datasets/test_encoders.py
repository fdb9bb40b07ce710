"""Raw rows become the inputs that the loader gives, bit for bit, also from a stored description."""

import numpy as np
import pandas as pd
import pytest

from tests.unit.datasets.real_data import DATASETS, TABLES, watched
from trustbench.contracts import (
    CategoryColumn,
    Encoder,
    GroupRule,
    NumberColumn,
    SensitiveColumn,
)
from trustbench.contracts.seeding import Streams
from trustbench.errors import DataError

SPEC = Encoder(
    (
        NumberColumn("age", mean=0.1, deviation=1 / 3, fill=0.7, indicator=True),
        CategoryColumn("job", ("a", "gone", "rest"), {"1": "a"}, missing="gone", other="rest"),
        CategoryColumn("code", ("low", "high"), spans={"low": (1, 9), "high": (10, 99)}),
        NumberColumn("pay", mean=2.0, deviation=4.0),
    ),
    GroupRule(
        (
            SensitiveColumn("sex", {"f": "F", "m": "M"}),
            SensitiveColumn("age", {"0": "young", "1": "old"}, edges=(40.0,), missing="old"),
        ),
        {"F | young": 0, "F | old": 1, "M | young": 2, "M | old": 2},
    ),
)
ROWS = pd.DataFrame(
    {
        "job": ["a", None, "z", 1.0],
        "age": [40.0, np.nan, 41.0, 0.1],
        "code": ["low", 10, 9.0, "99"],
        "pay": ["2", 6, 2.0, "10"],
        "sex": ["f", "m", "f", "m"],
    }
)


def encoded(frame):
    return SPEC.encode(frame), SPEC.group.of(frame)


@pytest.fixture
def raw(monkeypatch):
    return watched(monkeypatch)


@pytest.mark.parametrize("name", TABLES)
def test_raw_rows_become_the_inputs_and_groups_of_the_loader(shared_data, raw, name):
    problem = DATASETS[name].load(shared_data, Streams(0))
    encoder = Encoder.from_json(problem.encoder.to_json())
    assert encoder == problem.encoder
    frame = raw["frame"]
    tables = [frame]
    if len(raw["files"]) == 1:
        tables.append(raw["files"][0].loc[frame.index])
    elif raw["files"]:
        tables.append(pd.concat(raw["files"], ignore_index=True))
    for table in tables:  # the names of levels, then the codes and texts of the file
        X = encoder.encode(table.iloc[raw["rows"]])
        assert X.dtype == np.float32 and X.tobytes() == problem.X.tobytes()
        assert np.array_equal(encoder.group.of(table.iloc[raw["rows"]]), problem.group)
    assert len(tables) == (1 if name == "silobank" else 2)


def test_missing_values_codes_and_bins_are_encoded_as_described():
    X = Encoder.from_json(SPEC.to_json()).encode(ROWS)
    age = ((np.array([40.0, 0.7, 41.0, 0.1]) - 0.1) / (1 / 3)).astype(np.float32)
    assert np.array_equal(X[:, 0], age) and X[:, 1].tolist() == [0, 1, 0, 0]
    assert X[:, 2:5].argmax(1).tolist() == [0, 1, 2, 0] and (X[:, 2:5].sum(1) == 1).all()
    assert X[:, 5:7].argmax(1).tolist() == [0, 1, 0, 1]
    assert X[:, 7].tolist() == [0, 1, 0, 2]
    assert SPEC.group.of(ROWS).tolist() == [0, 2, 1, 2]
    assert SPEC.width == 8 and SPEC.places() == [(0, 1), (2, 3, 4), (5, 6), (7,)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pay": ["1", "x", "2", "y"]}, "column pay holds 'x', 'y' where a number belongs"),
        ({"pay": [1, np.inf, 2, 3]}, r"column pay holds an infinite number \(row 1\)"),
        ({"pay": [1, np.nan, 2, 3]}, r"column pay has no value in 1 rows \(first: row 1\)"),
        ({"code": [1, 2, 3, 100]}, "column code holds 100, which the model does not know"),
        ({"code": [1, 2, None, 3]}, "column code has no value in 1 rows"),
        ({"sex": ["f", "x", "m", "m"]}, "column sex holds 'x'"),
    ],
)
def test_a_row_that_cannot_be_encoded_is_refused_in_one_sentence(change, sentence):
    with pytest.raises(DataError, match=sentence):
        encoded(ROWS.assign(**change))


def test_absent_columns_and_groups_are_named():
    with pytest.raises(DataError, match="the table has no column pay; it has job, age"):
        SPEC.encode(ROWS.drop(columns="pay"))
    rule = GroupRule((SensitiveColumn("sex", {"f": "F", "m": "M"}),), {"F": 0})
    with pytest.raises(DataError, match="no group is declared for M; known: F"):
        rule.of(ROWS)


def test_a_code_that_names_another_level_is_refused():
    with pytest.raises(DataError, match="give the level another name"):
        CategoryColumn("x", ("0", "1"), {"1": "0", "0": "1"})
