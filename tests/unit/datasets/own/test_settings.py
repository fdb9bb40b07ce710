"""A table's errors carry their settings, so that each command names them in its own words."""

import pickle

from trustbench.datasets.loading.own.settings import TableError, TableSetting
from trustbench.errors import DataError


def test_an_error_keeps_its_settings_across_processes_and_takes_braces_from_data():
    error = TableError("the target {a} is odd; give ", TableSetting("bins", "[4]", column="{x}"))
    assert isinstance(error, DataError)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == (
        "dataset table: the target {a} is odd; give dataset.columns.{x}.bins=[4]."
    )  # fmt: skip
    assert again.worded(lambda setting: setting.key) == (
        "dataset table: the target {a} is odd; give bins."
    )
