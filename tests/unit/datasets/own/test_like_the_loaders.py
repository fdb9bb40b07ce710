"""`dataset=table` on raw public files gives the numbers of the loaders written for them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.preprocessing import StandardScaler

from trustbench.contracts import SPLITS
from trustbench.contracts.seeding import Streams
from trustbench.datasets import acs_income, adult, german
from trustbench.datasets.loading.frames import Reading
from trustbench.datasets.loading.own.declared import DeclaredColumn, Split
from trustbench.datasets.loading.own.own_table import OwnTable
from trustbench.datasets.loading.splits import draw, shares, strata_of, subsample
from trustbench.datasets.loading.tables import positions, read_parquet

BY_PART = Split(by="column", column="part")
ALL_LEVELS = {"min_level": 1, "max_levels": 100}


def parts_of(splits, n):
    """The name of the part of each row; '' in none."""
    part = np.full(n, "", dtype=object)
    for name, rows in splits.items():
        part[rows] = name
    return part


def inputs(problem, words=None, without=()):
    """{(feature, level): the input [n]} of a problem; `words` translates levels."""
    found = {}
    for f in problem.features:
        if f.name not in without:
            for k, column in enumerate(f.columns):
                level = f.levels[k] if f.levels else ""
                found[f.name, (words or {}).get(level, level)] = problem.X[:, column]
    return found


def sorted_rows(problem, split, columns, groups):
    """The rows of a part, inputs, class and group, in an order of their own."""
    rows = problem.splits[split]
    group = np.array([groups[g] for g in problem.groups])[problem.group]
    table = np.column_stack([*(c[rows] for c in columns), problem.y[rows], group[rows]])
    return table[np.lexsort(table.round(3).T[::-1])]


def assert_same(own, built_in, words=None, groups=None, without=()):
    mine, theirs = inputs(own, words, without), inputs(built_in, None, without)
    assert mine.keys() == theirs.keys()
    names = sorted(mine)
    places = {g: k for k, g in enumerate(built_in.groups)}
    renamed = {g: places[(groups or {}).get(g, g)] for g in own.groups}
    for split in SPLITS:
        a = sorted_rows(own, split, [mine[n] for n in names], renamed)
        b = sorted_rows(built_in, split, [theirs[n] for n in names], places)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_german_credit_from_its_raw_file(shared_data, tmp_path):
    built_in = german.German().load(shared_data, Streams(0))
    names = [c.name for c in german.German.columns]
    lines = (shared_data / "german" / "german.data").read_text().splitlines()
    table = pd.DataFrame([line.split() for line in lines], columns=names)
    y = (table["risk"] == "1").to_numpy().astype(np.int64)
    young = (table["age"].astype(int) <= 25).to_numpy().astype(np.int64)
    sizes = shares(len(y), {"test": 0.30, "calibration": 0.20, "validation": 0.10})
    splits = draw("german", strata_of(y, young), sizes, Streams(0).numpy("split"))
    table["part"] = parts_of(splits, len(table))
    (tmp_path / "g.data").write_text("\n".join(" ".join(row) for row in table.to_numpy()) + "\n")
    own = OwnTable(
        path=str(tmp_path / "g.data"), target="risk", favourable=1, sensitive=("age",),
        columns={"age": DeclaredColumn(bins=(26,))} | {
            c.name: DeclaredColumn(kind="number") for c in german.INPUTS
            if type(c).__name__ == "Numeric" and c.name != "age"
        },
        reading=Reading(separator=" ", header=False, names=(*names, "part")),
        split=BY_PART, **ALL_LEVELS,
    ).load(tmp_path, Streams(0))  # fmt: skip
    groups = {"age below 26": "25 or younger", "below 26": "25 or younger",
              "age 26 and above": "over 25", "26 and above": "over 25"}  # fmt: skip
    assert own.classes == ("2", "1")
    assert_same(own, built_in, groups=groups)


def test_adult_from_its_raw_files(shared_data, tmp_path):
    built_in = adult.Adult().load(shared_data, Streams(0))
    learn = (shared_data / "adult" / "adult.data").read_text().split("\n")
    test = (shared_data / "adult" / "adult.test").read_text().split("\n")[1:]
    lines = [x.rstrip(".") for x in (*learn, *test) if x.strip()]
    n = sum(bool(x.strip()) for x in learn)
    last = [x.split(", ") for x in lines]
    y = positions([x[14] for x in last], adult.CLASSES)
    group = positions([x[9] for x in last], adult.GROUPS["sex"])
    part = parts_of(adult._split(strata_of(y, group), n, Streams(0)), len(lines))
    text = [", ".join((*adult.FIELDS, "part"))]
    text += [f"{line}, {name}" for line, name in zip(lines, part, strict=True)]
    (tmp_path / "adult.csv").write_text("\n".join(text) + "\n")
    own = OwnTable(
        path=str(tmp_path / "adult.csv"), target="income", favourable=">50K", sensitive=("sex",),
        drop=("fnlwgt", "education"), split=BY_PART, **ALL_LEVELS,
    ).load(tmp_path, Streams(0))  # fmt: skip
    assert_same(own, built_in, words={"missing": "unknown", "?": "unknown"})


def test_acs_income_from_its_parquet_file(shared_data, tmp_path):
    loader = acs_income.ACSIncome(subsample=5000)
    built_in = loader.load(shared_data, Streams(0))
    source = loader.source(shared_data, acs_income.FILE)
    table = read_parquet(source, [c.name for c in loader.columns]).reset_index(drop=True)
    y = table["PINCP"].to_numpy().astype(np.int64)
    sizes = shares(len(y), {"test": 0.25, "calibration": 0.10, "validation": 0.075})
    strata = strata_of(y, table["SEX"].to_numpy().astype(np.int64) - 1)
    splits = subsample("acs", draw("acs", strata, sizes, Streams(0).numpy("split")), 5000)
    table["part"] = parts_of(splits, len(table))
    table[table["part"] != ""].to_parquet(tmp_path / "acs.parquet", index=False)
    category = ("COW", "MAR", "RELP", "SEX", "RAC1P")
    own = OwnTable(
        path=str(tmp_path / "acs.parquet"), target="PINCP", favourable=1, sensitive=("SEX",),
        columns={name: DeclaredColumn(kind="category") for name in category}, drop=("OCCP", "POBP"),
        split=BY_PART, **ALL_LEVELS,
    ).load(tmp_path, Streams(0))  # fmt: skip
    groups = {"SEX 1": "Male", "SEX 2": "Female"}
    theirs = built_in.rows("train")[0]
    absent = {
        (f.name, level)
        for f in built_in.features
        for level, column in zip(f.levels, f.columns, strict=False)
        if not built_in.X[:, column].any()
    }
    assert theirs.shape[0] == own.rows("train")[0].shape[0]
    kept = inputs(built_in, without=("OCCP", "POBP"))
    assert inputs(own).keys() == kept.keys() - absent
    ours = inputs(own)
    places = {g: k for k, g in enumerate(built_in.groups)}
    for split in SPLITS:
        a = sorted_rows(own, split, list(ours.values()), {g: places[groups[g]] for g in own.groups})
        b = sorted_rows(built_in, split, [kept[k] for k in ours], places)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_breast_cancer_is_what_scikit_learn_makes_of_it(tmp_path):
    data = load_breast_cancer(as_frame=True)
    table = data.frame.assign(
        radius_group=np.where(data.frame["mean radius"] > 14, "large", "small"),
        part=np.resize(["train", "train", "test", "validation", "calibration"], len(data.frame)),
    )
    table.to_csv(tmp_path / "cancer.csv", index=False)
    own = OwnTable(
        path=str(tmp_path / "cancer.csv"), target="target", favourable=1,
        sensitive=("radius_group",), drop=("radius_group",), split=BY_PART,
    ).load(tmp_path, Streams(0))  # fmt: skip
    raw = data.frame.drop(columns="target")
    pool = (table["part"] == "train").to_numpy()
    expected = StandardScaler().fit(raw[pool]).transform(raw)
    np.testing.assert_allclose(own.encoder.encode(raw), expected, rtol=1e-4, atol=1e-5)
    for split in SPLITS:
        rows = (table["part"] == split).to_numpy()
        X, y, group = own.rows(split)
        assert y.sum() == data.target[rows].sum()
        assert group.sum() == (table["radius_group"][rows] == "small").sum()
        np.testing.assert_allclose(np.sort(X[:, 0]), np.sort(expected[rows, 0]), atol=1e-4)


def test_diabetes_is_cut_into_classes_and_ages(tmp_path):
    data = load_diabetes(as_frame=True, scaled=False)
    data.frame.to_csv(tmp_path / "diabetes.csv", index=False)
    own = OwnTable(
        path=str(tmp_path / "diabetes.csv"), target="target", favourable="below 140",
        sensitive=("sex", "age"), min_group=20,
        columns={"target": DeclaredColumn(bins=(140,)), "age": DeclaredColumn(bins=(50,))},
    ).load(tmp_path, Streams(0))  # fmt: skip
    assert own.classes == ("140 and above", "below 140")
    assert own.y.sum() == (data.frame["target"] < 140).sum()
    assert [f.kind for f in own.features if f.name == "sex"] == ["categorical"]
    counts = data.frame.groupby(["sex", data.frame["age"] >= 50]).size()
    assert sorted(np.bincount(own.group)) == sorted(counts)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_random_split_is_that_of_the_loaders(tmp_path, seed):
    """The same rows, classes and groups are drawn into the same parts."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"x": rng.normal(size=500), "g": rng.choice(["a", "b"], 500)})
    table["y"] = np.where(table["x"] + rng.normal(size=500) > 0, "q", "p")
    table.to_csv(tmp_path / "t.csv", index=False)
    own = OwnTable(path=str(tmp_path / "t.csv"), target="y", sensitive=("g",))
    problem = own.load(tmp_path, Streams(seed))
    y, g = (positions(table[c], sorted(table[c].unique())) for c in ("y", "g"))
    sizes = shares(500, {"test": 0.25, "calibration": 0.15, "validation": 0.10})
    splits = draw("t", strata_of(y, g), sizes, Streams(seed).numpy("split"))
    raw = table["x"].to_numpy()
    pool = raw[splits["train"]]
    for name in SPLITS:
        expected = (raw[splits[name]] - pool.mean()) / pool.std()
        np.testing.assert_allclose(problem.rows(name)[0][:, 0], expected, atol=1e-5)
