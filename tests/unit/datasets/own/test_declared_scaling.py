"""Scales that are declared: nothing is learnt from rows, so a privacy claim keeps every member."""

import numpy as np
import pytest

from tests.unit.datasets.own.people import BASE, column, feature, loaded, people
from trustbench.config.arms import Arm, Chosen, Protocol, Training
from trustbench.datasets.loading.own.declared import DeclaredColumn
from trustbench.datasets.table import TableDataset
from trustbench.errors import DataError
from trustbench.execution.plan import plan
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.models.mlp import MLP

BOUNDS = {
    "income": DeclaredColumn(low=0, high=100_000, clip=True),
    "tenure": DeclaredColumn(low=0, high=40),
    "age": DeclaredColumn(low=0, high=120),
    "sex": DeclaredColumn(levels=("female", "male")),
    "region": DeclaredColumn(levels=("north", "south", "east", "west", "abroad")),
}
PUBLIC = {"scaling": "declared", "columns": BOUNDS}


def test_another_pool_gives_the_same_rule_for_each_column(tmp_path):
    one, other = (loaded(tmp_path, people(), seed, **PUBLIC).problem for seed in (0, 1))
    learnt = [loaded(tmp_path, people(), seed, columns=BOUNDS).problem for seed in (0, 1)]
    assert one.encoder.columns == other.encoder.columns
    assert learnt[0].encoder.columns != learnt[1].encoder.columns
    assert np.allclose(np.unique(column(one, "tenure")), (np.arange(30) - 20) / 20)
    assert abs(column(one, "income")).max() <= 1
    assert (feature(one, "age").lower, feature(one, "age").upper) == (-1.0, 1.0)
    assert "nothing is learnt from rows" in one.card.description


@pytest.mark.parametrize("missing", ["own", "refuse"])
def test_no_row_changes_a_rule(missing, tmp_path):
    """Whoever is left out of the file: a whole level, all missing values, all but two numbers."""
    table = people(6000)
    if missing == "own":
        table.loc[table.region == "west", "region"] = None
        table.loc[::9, "tenure"] = np.nan
    given = {**PUBLIC, "missing": missing, "min_group": 1}
    wanted = loaded(tmp_path, table, **given).problem.encoder.columns
    fewer = (
        table[table.region.isna()] if missing == "own" else table[table.region == "north"],
        table[table.tenure.notna() & table.region.notna()],
        table[table.age.isin(table.age.unique()[:2])],
        table.assign(age=np.nan) if missing == "own" else table,
    )
    for rows in fewer:
        assert loaded(tmp_path, rows, **given).problem.encoder.columns == wanted


def test_what_needs_no_bounds_is_scaled_by_what_is_known_of_it(tmp_path):
    table = people()
    table["grade"] = np.arange(len(table)) % 3 + 1.0
    table["note_0"] = np.linspace(5, 6, len(table))
    table.loc[::9, "tenure"] = np.nan
    declared = {
        **BOUNDS,
        "applied": DeclaredColumn(parts=("month", "weekday")),
        "grade": DeclaredColumn(kind="ordered", levels=(1, 2, 3)),
    }
    found = loaded(
        tmp_path, table, scaling="declared", columns=declared, drop=("household",),
        embedding=("note_*",),
    ).problem  # fmt: skip
    months = table["applied"].dt.month.to_numpy()
    assert set(np.unique(column(found, "applied.month")).round(4)) <= set(
        ((np.unique(months) - 6.5) / 5.5).astype(np.float32).round(4)
    )
    assert set(np.unique(column(found, "grade"))) == {-1.0, 0.0, 1.0}
    assert column(found, "note").min() >= 5  # features of a frozen model are taken as they are
    marked = column(found, "tenure is missing")
    assert np.all(column(found, "tenure")[marked > 0] == 0.0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"columns": {"age": BOUNDS["age"]}},
            r"give dataset\.columns\.income\.low=L .*tenure\.low=L.*sex\.levels=.*region\.levels",
        ),
        (
            {"columns": {**BOUNDS, "region": DeclaredColumn(levels=("north", "south", "east"))}},
            r"region holds 'west', not among its declared levels",
        ),
        ({"missing": "impute"}, r"imputed from rows, and dataset\.scaling=declared learns nothing"),
        ({"sensitive": ("region", "sex"), "min_group": 150}, r"merged.*counts no rows.*min_group"),
        (
            {
                "drop": ("household",),
                "columns": {**BOUNDS, "applied": DeclaredColumn(parts=("year", "month"))},
            },
            r"no bounds of year of the date applied",
        ),
    ],
)
def test_what_only_rows_could_tell_is_refused_with_the_way_out(settings, said, tmp_path):
    with pytest.raises(DataError, match=said):
        loaded(tmp_path, people(), **{**PUBLIC, **settings})


def claim(tmp_path, inclusion, **settings):
    """The claim of an arm with private training on the people."""
    people().to_csv(tmp_path / "people.csv", index=False)
    dataset = TableDataset(path=str(tmp_path / "people.csv"), **{**BASE, **settings})
    arm = Arm(
        dataset=Chosen("table", dataset),
        model=Chosen("mlp", MLP()),
        training=Training(regime="tuned", epochs=2, batch_size=64, lr=0.1),
        interventions=(Chosen("dpsgd", DPSGD(epochs=2, noise="system")),),
        evaluators=(),
        protocol=Protocol(replicates=2, inclusion=inclusion),
        output_dir=tmp_path,
        data_dir=tmp_path,
    )
    (found,) = plan(arm).guarantees
    return found


def test_the_ledger_keeps_the_claim_on_every_row_only_with_declared_scales(tmp_path):
    void = claim(tmp_path, "all", columns=BOUNDS)
    assert "with protocol.inclusion=all these are the members' own rows" in void.void
    assert "with dataset.scaling=declared, and the range or levels of each column" in void.void
    assert void.void.count("dataset.scaling=declared") == 1
    kept = claim(tmp_path, "all", **PUBLIC)
    assert kept.void is None and kept.epsilon > 0
    assert kept.assumed_public == ["the number of members"]
    half = claim(tmp_path, "half", columns=BOUNDS)
    assert half.void is None and any("means" in text for text in half.assumed_public)
