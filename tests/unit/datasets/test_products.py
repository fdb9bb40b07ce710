"""Groups by several attributes: combinations, small ones merged and named, rows scored later."""

import numpy as np
import pytest

from tests.conftest import make_system
from tests.unit.datasets.real_data import watched
from trustbench.contracts import Streams
from trustbench.datasets.acs_income import ACSIncome
from trustbench.datasets.adult import Adult
from trustbench.datasets.compas import Compas
from trustbench.datasets.german import German
from trustbench.datasets.loading.products import product
from trustbench.datasets.loading.tabular import Groups
from trustbench.errors import DataError
from trustbench.evaluators.fairness.individual_fairness import IndividualFairness, alternatives


def part(name, names, codes):
    return Groups(name, names, np.array(codes))


def test_combinations_are_counted_and_small_ones_become_one_group():
    a = part("a", ("x", "y"), [0] * 100 + [1] * 60)
    b = part("b", ("p", "q"), [0] * 60 + [1] * 40 + [0] * 35 + [1] * 25)
    made = product([a, b])
    assert made.name == "a x b"
    assert made.names[:-1] == ("a x, b p", "a x, b q")
    assert np.bincount(made.codes).tolist() == [60, 40, 60], "25 rows, joined by the next smallest"
    assert "Counted as other: a y, b p 35, a y, b q 25" in made.merged(np.arange(160))
    kept = part("b", ("p", "q"), [0] * 60 + [1] * 40 + [0] * 30 + [1] * 30)
    assert product([a, kept]).names[-1] == "a y, b q"
    assert product([a]) is a


def test_a_subsample_merges_what_would_be_too_small_in_it():
    a = part("a", ("x", "y"), [0] * 700 + [1] * 300)
    b = part("b", ("p", "q"), [0] * 600 + [1] * 100 + [0] * 200 + [1] * 100)
    assert len(product([a, b]).names) == 4
    assert len(product([a, b], rows=200).names) == 3


SEVERAL = {
    "compas": (Compas(sensitive=("race", "sex")), Compas(), 6),
    "german": (German(sensitive=("age", "sex")), German(), 4),
    "acs_income": (
        ACSIncome(sensitive=("SEX", "RAC1P"), subsample=8000),
        ACSIncome(subsample=8000),
        8,
    ),
}


@pytest.mark.parametrize(
    "name", ["compas", "german", pytest.param("acs_income", marks=pytest.mark.slow)]
)
def test_raw_rows_get_the_group_of_the_loader(shared_data, monkeypatch, name):
    both, one, groups = SEVERAL[name]
    raw = watched(monkeypatch)
    problem = both.load(shared_data, Streams(0))
    assert len(problem.groups) == groups
    assert problem.group_name == " x ".join(both.sensitive)
    assert (np.bincount(problem.group[problem.splits["test"]], minlength=groups) > 0).all()
    rule, frame = problem.encoder.group, raw["frame"]
    codes = rule.of(frame)
    assert set(codes) == set(range(groups))
    alone = one.load(shared_data, Streams(0)).encoder.group.of(frame)
    pairs = set(zip(codes.tolist(), alone.tolist(), strict=True))
    assert len(pairs) == groups, "a combination is of one group of each attribute"


def test_adults_small_combinations_are_merged_and_named_on_the_card(shared_data):
    problem = Adult(sensitive=("sex", "race"), subsample=4000).load(shared_data, Streams(0))
    assert problem.groups[-1] == "other"
    assert "Counted as other: " in problem.card.description
    assert "sex Female, race Amer-Indian-Eskimo" in problem.card.description
    whole = Adult(sensitive=("sex", "race")).load(shared_data, Streams(0))
    assert len(whole.groups) == 10
    assert "sex Female, race Black" in whole.groups


def test_a_person_is_moved_through_every_combination(shared_data):
    problem = Compas(sensitive=("race", "sex")).load(shared_data, Streams(0))
    X = problem.rows("test")[0][:5]
    moved = list(alternatives(problem, X))
    blocks = {f.name: list(f.columns) for f in problem.features if f.name in ("race", "sex")}
    assert len(moved) == 12, "six races and two sexes, all of which occur"
    for other, group in moved:
        assert (other[:, blocks["race"]].sum(1) == 1).all()
        assert (other[:, blocks["sex"]].sum(1) == 1).all()
        assert len(set(group)) == 1
    assert {int(group[0]) for _, group in moved} == set(range(6))
    assert IndividualFairness().supports(make_system(problem, replicates=2, steps=2)) is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [((), "must name one attribute"), (("sex", "sex"), "different"), (("sex", "ses"), "ses")],
)
def test_wrong_attributes_are_refused(shared_data, given, reason):
    with pytest.raises(DataError, match=reason):
        Compas(sensitive=given).load(shared_data, Streams(0))
