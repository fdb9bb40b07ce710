"""Which evaluation two records share, and how far apart they are where they share none."""

import pytest

from tests.unit.summary.builder import record
from trustbench.errors import UserError
from trustbench.summary.table.pairing import shared_evaluations


def at(r, **registered):
    """The record with `fairness` also at settings whose registered values are given."""
    plain = r.evaluations["fairness-s1"]
    spec = plain.evaluator.model_copy(update={"registered": registered})
    other = plain.model_copy(update={"evaluator": spec})
    return {"plain": plain, "other": other}


def both(first, second):
    """Two records that hold both evaluations of `fairness`, under these names."""
    sides = []
    for r in (record(), record(control="reseed")):
        made = at(r, min_group=20)
        rest = {k: e for k, e in r.evaluations.items() if k != "fairness-s1"}
        named = {"fairness-a": made[first], "fairness-b": made[second]}
        sides.append([r.model_copy(update={"evaluations": {**rest, **named}})])
    return sides


@pytest.mark.parametrize(
    ("first", "second", "read"),
    [("plain", "other", "fairness-a"), ("other", "plain", "fairness-b")],
)
def test_of_several_shared_evaluations_the_registered_one_is_read(first, second, read):
    chosen = shared_evaluations(*both(first, second), {"fairness"})
    assert chosen["fairness"] == read
    assert chosen["uncertainty"] == "uncertainty-s1"


def test_one_shared_evaluation_is_read_whatever_its_settings():
    sides = both("plain", "other")
    sides = [
        [r.model_copy(update={"evaluations": {"fairness-b": r.evaluations["fairness-b"]}})]
        for (r,) in sides
    ]
    assert shared_evaluations(*sides, {"fairness"}) == {"fairness": "fairness-b"}


def test_records_of_other_trainings_share_no_replicates():
    with pytest.raises(UserError) as caught:
        shared_evaluations([record()], [record(regime="memorising", seed=3)], ())
    assert str(caught.value) == (
        "not comparable: the candidate was trained in another regime or with another seed "
        "(memorising, seed 3) than the baseline (tuned, seed 0), so that they share no replicates."
    )
