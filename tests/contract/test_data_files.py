"""A data file may hold what its loader declares, and nothing else: every column, every data set."""

import csv
from itertools import islice

import pandas as pd
import pytest

from tests.contract.conftest import OPTIONS
from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.columns import Categorical, Numeric
from trustbench.datasets.loading.files import FileDataset
from trustbench.errors import DataError

READERS = [o for o in OPTIONS if isinstance(o.plugin, FileDataset)]
COLUMNS = [(o, c) for o in READERS for c in o.plugin.columns]
NEW = "77777"  # neither a code nor a possible number of any column, in text or as a number
KEPT = 300
ROW = 4  # the data row that is changed, counted from 1


@pytest.fixture
def copy(shared_data, tmp_path):
    """A function of a data set: the beginning of its files, where they may be changed."""

    def copied(dataset):
        folder = tmp_path / dataset.folder
        folder.mkdir()
        for file in dataset.files:
            original, path = shared_data / dataset.folder / file.path, folder / file.path
            if path.suffix == ".parquet":
                pd.read_parquet(original).iloc[:KEPT].to_parquet(path)
            else:
                with original.open() as whole:
                    path.write_text("".join(islice(whole, KEPT)))
        return folder / dataset.files[0].path

    return copied


def changed(path, dataset, column, value):
    """Puts a value into a column of the file; returns its place in words."""
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        frame[column] = frame[column].astype(float)
        frame.iloc[ROW - 1, frame.columns.get_loc(column)] = float(value)
        frame.to_parquet(path)
        return f"row {ROW}"
    lines = path.read_text().splitlines()
    if path.suffix == ".csv":
        header, fields = next(csv.reader(lines)), next(csv.reader([lines[ROW]]))
        for k, name in enumerate(header):  # ProPublica's file has columns that stand there twice
            fields[k] = value if name == column else fields[k]
        lines[ROW] = ",".join(f'"{f}"' for f in fields)
        place = ROW + 1
    else:
        separator = ", " if ", " in lines[ROW - 1] else " "
        fields = lines[ROW - 1].split(separator)
        fields[order(dataset).index(column)] = value
        lines[ROW - 1] = separator.join(fields)
        place = ROW
    path.write_text("\n".join(lines) + "\n")
    return f"line {place}"


def order(dataset):
    """The columns of a file without a header, in their order."""
    from trustbench.datasets import adult

    return adult.FIELDS if dataset.folder == "adult" else [c.name for c in dataset.columns]


@pytest.mark.parametrize(
    ("option", "column"), COLUMNS, ids=[f"{o.name}-{c.name}" for o, c in COLUMNS]
)
def test_a_value_that_is_not_declared_is_refused_and_named(option, column, copy, tmp_path):
    path = copy(option.plugin)
    place = changed(path, option.plugin, column.name, NEW)
    unbounded = isinstance(column, Numeric) and column.high > float(NEW)
    if unbounded:
        place = changed(path, option.plugin, column.name, "-77777" if column.low >= 0 else "0.5")
    with pytest.raises(DataError) as caught:
        option.plugin.load(tmp_path, Streams(0))
    told = str(caught.value)
    assert f"column {column.name} of {path} holds" in told
    assert f"in 1 row (first on {place})" in told
    assert "\n" not in told
    assert "; correct the file, or " in told
    if isinstance(column, Categorical):
        assert f"'{NEW}'" in told
        assert f"known: {column.described()};" in told


@pytest.mark.parametrize("option", READERS, ids=lambda o: o.name)
def test_every_column_declares_what_it_may_hold(option):
    names = [c.name for c in option.plugin.columns]
    assert len(names) == len(set(names))
    for column in option.plugin.columns:
        if isinstance(column, Categorical):
            assert bool(column.levels) != bool(column.spans), column.name
        else:
            assert column.low > -float("inf") or column.missing is not None, column.name


@pytest.mark.parametrize("option", READERS, ids=lambda o: o.name)
def test_every_level_and_nothing_else_is_put_into_a_group(option):
    """A level that is in no list is a fault of the loader, found before a user finds it."""
    module = __import__(option.module, fromlist=["GROUPS"])
    merges = getattr(module, "GROUPS", None) or {"personal_status_sex": module.SEX}
    columns = {c.name: c for c in option.plugin.columns}
    for name, groups in merges.items():
        listed = [x for g in (groups.values() if isinstance(groups, dict) else [groups]) for x in g]
        assert sorted(listed) == sorted(set(columns[name].levels.values())), name
