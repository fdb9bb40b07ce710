"""Tables made into problems: scaling without leaks, one-hot blocks, bounds, reading of files."""

import numpy as np
import pandas as pd
import pytest

from trustbench.contracts import DataCard
from trustbench.datasets._tables import choose, codes, numbers, read_csv, read_fields
from trustbench.datasets._tabular import Categorical, Groups, Numeric, table_problem
from trustbench.errors import DataError

CARD = DataCard("toy", "none", "none", "none")
COLUMNS = (
    Numeric("age", mutable=False),
    Categorical("job"),
    Numeric("pay"),
    Categorical("sex", mutable=False),
    Numeric("constant"),
)
SPLITS = {
    "train": np.arange(0, 60),
    "validation": np.arange(60, 70),
    "calibration": np.arange(70, 80),
    "test": np.arange(80, 100),
}


def table(n=110):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "job": rng.choice(["a", "b", "c"], n),
            "pay": rng.normal(1000, 300, n),
            "sex": rng.choice(["f", "m"], n),
            "constant": np.full(n, 7.0),
        }
    )


def problem_of(frame):
    group = (frame["sex"] == "f").to_numpy().astype(int)
    return table_problem(
        name="toy",
        frame=frame,
        columns=COLUMNS,
        y=np.arange(len(frame)) % 2,
        classes=("no", "yes"),
        groups=Groups("sex", ("m", "f"), group),
        splits=SPLITS,
        card=CARD,
    )


def test_numbers_are_standardised_on_the_pool():
    problem = problem_of(table())
    pool = problem.rows("train")[0]
    for name in ("age", "pay"):
        j = next(f for f in problem.features if f.name == name).columns[0]
        assert pool[:, j].mean() == pytest.approx(0, abs=1e-5)
        assert pool[:, j].std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("split", ["validation", "calibration", "test"])
def test_other_splits_do_not_leak_into_the_scaling(split):
    """Planted: one split's numbers are a thousand times larger; the pool must not notice."""
    frame, planted = table(), table()
    planted.loc[SPLITS[split], ["age", "pay"]] *= 1000
    clean, leaky = problem_of(frame), problem_of(planted)
    assert np.array_equal(clean.rows("train")[0], leaky.rows("train")[0])
    assert not np.array_equal(clean.rows(split)[0], leaky.rows(split)[0])


def test_the_pool_does_move_the_scaling():
    """The check above can fail: the same plant in the pool is noticed everywhere."""
    planted = table()
    planted.loc[SPLITS["train"][:30], ["age", "pay"]] *= 1000
    assert not np.allclose(problem_of(table()).rows("test")[0], problem_of(planted).rows("test")[0])


def test_rows_in_no_split_are_left_out_and_change_nothing():
    planted = table()
    planted.loc[100:, ["age", "pay"]] = 1e9
    clean, other = problem_of(table()), problem_of(planted)
    assert len(clean.X) == 100
    assert clean.fingerprint == other.fingerprint


def test_features_cover_every_column_once():
    problem = problem_of(table())
    columns = [c for f in problem.features for c in f.columns]
    assert columns == list(range(problem.n_features)) == list(range(3 + 3 + 2))


def test_one_hot_blocks_name_the_level_that_the_table_has():
    frame = table()
    problem = problem_of(frame)
    job = problem.features[1]
    block = problem.X[:, job.columns]
    assert (block.sum(1) == 1).all()
    assert job.levels == ("a", "b", "c")
    rows = np.concatenate([SPLITS[s] for s in ("train", "validation", "calibration", "test")])
    assert [job.levels[k] for k in block.argmax(1)] == frame["job"].iloc[rows].tolist()


def test_a_level_outside_of_the_subsample_keeps_its_column():
    frame = table()
    frame.loc[105, "job"] = "z"
    assert problem_of(frame).features[1].levels == ("a", "b", "c", "z")


def test_only_mutable_numbers_may_be_attacked():
    problem = problem_of(table())
    free = problem.per_column("scale") * problem.per_column("mutable")
    assert np.flatnonzero(free).tolist() == [4, 7]


def test_bounds_hold_the_pool_and_the_test_set_exactly():
    problem = problem_of(table())
    seen = np.concatenate([problem.rows("train")[0], problem.rows("test")[0]])
    assert np.array_equal(problem.per_column("lower"), np.where(hot(problem), 0, seen.min(0)))
    assert np.array_equal(problem.per_column("upper"), np.where(hot(problem), 1, seen.max(0)))


def hot(problem):
    out = np.zeros(problem.n_features, dtype=bool)
    for feature in problem.features:
        out[list(feature.columns)] = feature.kind == "categorical"
    return out


def test_a_constant_number_becomes_zero():
    assert (problem_of(table()).X[:, 7] == 0).all()


# --- reading ---------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "t.data"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_fields_are_read_as_text_without_comments_and_blanks(written):
    path = written("|a remark\n39, State-gov, x\n\n50,  ?, y\n")
    frame = read_fields("toy", path, ("age", "work", "z"), separator=",", comment="|")
    assert frame.to_numpy().tolist() == [["39", "State-gov", "x"], ["50", "?", "y"]]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("1,2,3\n1,2\n", "record 2 of .* has 2 fields .*each has 3: a, b, c"),
        ("1,2,3\n4,5,6,7\n", "record 2 of .* has 4 fields"),
        ("1,2,3,4,5,6\n", "fields|cannot be read"),
        ("1,2,3\n4,5,6\n7,8,9,10,11,12\n", "cannot be read as a table"),
        ("1,,3\n", "record 1 of .* has 2 fields"),
        ("", "holds no rows"),
        (b"\xff\xfe\x00\x81,2,3\n", "is not text"),
    ],
)
def test_broken_lines_get_a_sentence(written, content, says):
    with pytest.raises(DataError, match=says):
        read_fields("toy", written(content), ("a", "b", "c"), separator=",")


def test_a_missing_column_names_the_near_one(written):
    with pytest.raises(DataError, match=r"no column 'race'; did you mean 'Race'\?"):
        read_csv("toy", written("Race,sex\nA,f\n"), ["race", "sex"])


def test_a_word_where_a_number_belongs_is_shown():
    with pytest.raises(DataError, match="column age holds 'old' where a number belongs"):
        numbers("toy", pd.DataFrame({"age": ["1", "old"]}), "age")


def test_an_unknown_label_is_shown_with_the_known_ones():
    with pytest.raises(DataError, match="column y holds 'maybe'; allowed: no, yes"):
        codes("toy", pd.DataFrame({"y": ["no", "maybe"]}), "y", {"no": 0, "yes": 1})


def test_an_unknown_choice_gets_the_near_name():
    with pytest.raises(DataError, match=r"sensitive=rase is unknown; did you mean 'race'\?"):
        choose("toy", "sensitive", "rase", {"race": 1, "sex": 2})
