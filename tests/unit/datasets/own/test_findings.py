"""What a careful colleague would say, each planted and found, and nothing said of a sound table."""

import re

import numpy as np
import pytest

from tests.unit.datasets.own.people import loaded, people
from trustbench.datasets.loading.own.declared import Split
from trustbench.errors import DataError


def warnings(tmp_path, table, **settings):
    return loaded(tmp_path, table, **settings).problem.warnings


def test_a_sound_table_has_no_warning(tmp_path):
    assert warnings(tmp_path, people()) == ()


@pytest.mark.parametrize("seed", range(5))
def test_a_table_of_noise_has_no_warning(tmp_path, seed):
    rng = np.random.default_rng(seed)
    table = people(400, seed)
    table["approved"] = np.where(rng.random(400) < 0.1, "yes", "no")
    assert warnings(tmp_path, table) == ()


def test_a_column_that_is_nearly_the_target_is_named_with_its_rule(tmp_path):
    table = people()
    late = table["approved"] == "yes"
    late[:8] = ~late[:8]
    table["days_late"] = np.where(late, 1 + np.arange(len(table)) % 60, 0).astype(float)
    (said,) = warnings(tmp_path, table)
    assert said.startswith("days_late > 0 agrees with approved in 99.3 % of the rows")
    assert said.endswith("dataset.drop=[days_late]")
    table["status"] = np.where(late, "closed", "open")
    assert len(warnings(tmp_path, table)) == 2
    with pytest.raises(DataError, match=r"days_late > 0 agrees.*leakage=warn continues"):
        loaded(tmp_path, table, leakage="refuse")
    assert warnings(tmp_path, table, leakage="ignore") == ()


def test_a_column_that_is_close_to_the_target_is_noted_beside_the_majority(tmp_path):
    table = people()
    late = table["approved"] == "yes"
    late[:72] = ~late[:72]
    table["status"] = np.where(late, "closed", "open")
    majority = table["approved"].value_counts(normalize=True).max()
    for leakage in ("warn", "refuse"):
        found = loaded(tmp_path, table, leakage=leakage)
        (note,) = [f.text for f in found.findings if f.kind == "note"]
        assert note == (
            "the level of status agrees with approved in 94.0 % of the rows, where always "
            f"answering the most frequent class does in {100 * majority:.1f} %; make sure that "
            "status is known before the decision"
        )
        assert note in found.problem.card.description
        assert found.problem.warnings == ()
    late[72:200] = ~late[72:200]
    table["status"] = np.where(late, "closed", "open")
    assert not loaded(tmp_path, table).findings, "83 % is not close"


def test_a_rare_class_makes_no_column_close(tmp_path):
    """Where 95 % are of one class, everything agrees with it in 95 % of the rows."""
    table = people()
    table["approved"] = np.where(np.arange(1200) % 20 == 0, "yes", "no")
    assert not [f for f in loaded(tmp_path, table).findings if "agrees" in f.text]


def test_a_leak_in_missing_values_is_found(tmp_path):
    table = people()
    table["closed_on"] = np.where(table["approved"] == "yes", np.arange(1200) % 90, np.nan)
    assert "closed_on" in warnings(tmp_path, table)[0]


def planted(name, values):
    return people().assign(**{name: values})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (planted("bank", "ours"), "bank has 1 value in all rows"),
        (planted("number", np.arange(1200.0)), "number has a different value in 100 % of the rows"),
        (planted("file", [f"A{k}" for k in range(1200)]), "file has a different value in 100 %"),
        (planted("debt", np.r_[np.arange(1199.0) % 40, 1e12]), "debt reaches 1e+12"),
        (planted("priors", np.r_[np.arange(1180.0) % 7, [-9.0] * 20]), "priors is -9 in 20 rows"),
    ],
    ids=lambda v: v.split()[0] if isinstance(v, str) else "",
)
def test_odd_columns_are_named(tmp_path, table, says):
    (said,) = warnings(tmp_path, table)
    assert said.startswith(says)


def test_a_group_with_hardly_any_favourable_row_and_a_tiny_group(tmp_path):
    table = people()
    table.loc[table["region"] == "west", "approved"] = "no"
    first = warnings(tmp_path, table, sensitive=("region",))[0]
    assert first.startswith("0.0 % of the ")
    assert "of group west are of class yes" in first
    table = people()
    table.loc[:59, "sex"] = "other"
    assert re.search(r"group other has 1\d test rows", warnings(tmp_path, table)[0])


def test_drift_between_parts_is_measured(tmp_path):
    table = people().sort_values("applied", ignore_index=True)
    table["price"] = table.index / 10 + np.random.default_rng(0).normal(size=len(table))
    split = Split(by="date", column="applied")
    said = warnings(tmp_path, table, split=split)
    assert said[0].startswith("price differs between training part and test set: its mean moves by")
    assert warnings(tmp_path, people(), split=split) == ()
