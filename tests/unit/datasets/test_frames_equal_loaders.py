"""Public tables are read to the same values as by the loaders that know them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from trustbench.datasets import acs_income, adult, compas, german
from trustbench.datasets.loading.columns import Categorical, Numeric, read_columns
from trustbench.datasets.loading.frames import Reading, read_frame
from trustbench.datasets.loading.tables import read_csv, read_fields, read_parquet


def known(loader, folder, read):
    """(path, the loader's own raw columns)."""
    name = loader.files[0].path
    source = loader.source(folder, name)
    raw = read(source)
    columns = [c for c in loader.columns if c.name in raw.columns]
    return source.path, read_columns(source, raw, columns), columns


def same(found, wanted, columns):
    """Numbers are equal to the bit; levels are those of the fields, by the loader's own names."""
    for column in columns:
        ours, theirs = found[column.name], wanted[column.name]
        if isinstance(column, Numeric):
            np.testing.assert_array_equal(ours.to_numpy(dtype=float), theirs.to_numpy())
        else:
            assert levels(column, ours) == theirs.tolist()


def levels(column, fields):
    assert isinstance(column, Categorical)
    return [column.level(code(field)) for field in fields]


def code(field):
    if isinstance(field, str):
        return field
    return "?" if pd.isna(field) else str(int(field))


def test_adult(shared_data):
    path, wanted, columns = known(
        adult.Adult(), shared_data, lambda s: read_fields(s, adult.FIELDS, ",", "|")
    )
    frame = read_frame(path, Reading(names=adult.FIELDS))
    same(frame.table, wanted, columns)
    assert frame.understood.missing == {
        "workclass": ("?",),
        "occupation": ("?",),
        "native-country": ("?",),
    }


def test_german_credit(shared_data):
    names = tuple(c.name for c in german.German.columns)
    path, wanted, columns = known(
        german.German(), shared_data, lambda s: read_fields(s, names, None)
    )
    same(read_frame(path, Reading(names=names)).table, wanted, columns)


def test_compas(shared_data):
    names = [c.name for c in compas.Compas.columns]
    path, wanted, columns = known(compas.Compas(), shared_data, lambda s: read_csv(s, names))
    same(read_frame(path, Reading(missing={"score_text": ()})).table, wanted, columns)


def test_acs_income(shared_data):
    names = [c.name for c in acs_income.ACSIncome.columns]
    path, wanted, columns = known(
        acs_income.ACSIncome(), shared_data, lambda s: read_parquet(s, names)
    )
    same(read_frame(path).table, wanted, columns)


@pytest.mark.parametrize("load", [load_breast_cancer, load_diabetes])
def test_tables_of_scikit_learn(tmp_path, load):
    wanted = load(as_frame=True).frame
    wanted.to_csv(tmp_path / "t.csv", index=False)
    wanted.to_csv(tmp_path / "german.csv", index=False, sep=";", decimal=",")
    for name in ("t.csv", "german.csv"):
        found = read_frame(tmp_path / name).table
        assert list(found) == list(wanted)
        for column in wanted:
            np.testing.assert_array_equal(
                found[column].to_numpy(dtype=float), wanted[column].to_numpy(dtype=float)
            )
