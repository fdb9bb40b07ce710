"""Thresholds by group against MAPIE on each group alone; what is released and stated."""

import dataclasses

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from tests.conftest import make_problem, make_system
from tests.unit.methods.test_conformal import Wrapped
from trustbench.contracts import Schedule
from trustbench.errors import ConfigError
from trustbench.interventions.fairness.mondrian import MondrianSets
from trustbench.interventions.uncertainty.conformal import SplitConformalSets
from trustbench.methods.conformal import SCORES, by_category, calibration_scores, covered, quantiles

SCHEDULE = Schedule(regime="tuned", epochs=1, batch_size=32, lr=0.1)


@pytest.fixture(scope="module")
def hard():
    return make_system(make_problem(n=3000, classes=5, groups=3, seed=2, shift=0.6), 2)


def mapie_by_group(system, r, alpha):
    """MAPIE calibrated and used on the rows of one group at a time."""
    from mapie.classification import SplitConformalClassifier
    from mapie.conformity_scores import LACConformityScore

    problem, rows = system.problem, system.calibration[r]
    X, _, group = problem.rows("test")
    out = np.zeros((len(X), len(problem.classes)), dtype=bool)
    for g in range(len(problem.groups)):
        own = rows[problem.group[rows] == g]
        classifier = SplitConformalClassifier(
            Wrapped(system, r),
            confidence_level=1 - alpha,
            conformity_score=LACConformityScore(),
            prefit=True,
        )
        classifier.conformalize(problem.X[own], problem.y[own])
        out[group == g] = classifier.predict_set(X[group == g])[1][:, :, 0]
    return out


def sets_of(plugin, system, score="lac"):
    X, _, group = system.problem.rows("test")
    return plugin.deploy(system).sets(torch.as_tensor(X), score, group)


def test_sets_equal_mapie_on_each_group(hard):
    ours = sets_of(MondrianSets(), hard).numpy()
    for r in range(2):
        assert (ours[r] == mapie_by_group(hard, r, 0.1)).all()


def test_marginal_sets_and_a_rank_too_few_are_told_apart(hard, monkeypatch):
    expected = mapie_by_group(hard, 0, 0.1)
    assert (sets_of(SplitConformalSets(), hard).numpy()[0] != expected).any()
    right = quantiles.rank
    monkeypatch.setattr(quantiles, "rank", lambda n, alpha: right(n, alpha) - 1)
    assert (sets_of(MondrianSets(), hard).numpy()[0] != expected).any()


def test_groups_are_those_of_the_rows_asked_about(hard):
    X, _, group = hard.problem.rows("test")
    released = MondrianSets().deploy(hard)
    moved = released.sets(torch.as_tensor(X), "lac", (group + 1) % 3)
    assert not torch.equal(moved, released.sets(torch.as_tensor(X), "lac", group))
    alone = released.sets(torch.as_tensor(X[group == 2]), "lac", group[group == 2])
    assert torch.equal(alone, released.sets(torch.as_tensor(X), "lac", group)[:, group == 2])


def test_every_group_is_covered_where_one_threshold_fails():
    """Group 1's labels are noise: marginal sets cover it too rarely."""
    problem = make_problem(n=8000, classes=4, groups=2, seed=3)
    rng = np.random.default_rng(0)
    noise = rng.integers(4, size=len(problem.y))
    problem = dataclasses.replace(problem, y=np.where(problem.group == 1, noise, problem.y))
    system = make_system(problem, 2)
    _, y, group = problem.rows("test")
    by_group = {
        plugin: covered(sets_of(plugin, system, "aps"), y)[:, group == 1].mean()
        for plugin in (SplitConformalSets(), MondrianSets())
    }
    marginal, mondrian = by_group.values()
    assert marginal < 0.85
    assert mondrian > max(0.85, marginal + 0.05)


def test_a_group_without_enough_rows_gets_all_labels_and_is_named(hard):
    rows = hard.calibration.copy()
    common = np.flatnonzero(hard.problem.group != 1)
    rows[1] = np.where(hard.problem.group[rows[1]] == 1, common[0], rows[1])
    system = dataclasses.replace(hard, calibration=rows)
    released = MondrianSets(scores=("aps",)).deploy(system)
    group = hard.problem.rows("test")[2]
    sets = sets_of(MondrianSets(), system, "aps")
    assert sets[1, group == 1].all()
    assert not sets[0, group == 1].all()
    assert released.facts["set_without_threshold_aps"] == "g1"
    assert MondrianSets().deploy(hard).facts["set_without_threshold_aps"] is None


def test_what_is_released_is_stated(hard):
    facts = MondrianSets(scores=("aps",), rows=100).deploy(hard).facts
    assert facts == {
        "set_alpha": 0.1,
        "set_rows_aps": 100,
        "set_guarantee_aps": "coverage of every group",
        "set_without_threshold_aps": facts["set_without_threshold_aps"],
    }


def test_of_two_methods_the_last_releases_a_score(hard):
    first = MondrianSets().deploy(hard)
    both = SplitConformalSets(scores=("lac",), rows=80).deploy(first)
    assert both.facts["set_guarantee_lac"] == "marginal coverage"
    assert both.facts["set_rows_lac"] == 80
    assert "set_without_threshold_lac" not in both.facts
    assert both.set_predictors["aps"] is first.set_predictors["aps"]
    with pytest.raises(ConfigError, match=r"alpha=0\.1 and alpha=0\.2; give both the same"):
        SplitConformalSets(alpha=0.2).deploy(first)


def test_rows_that_are_not_there_are_a_reason_or_an_error(hard):
    assert MondrianSets(rows=600).supports(hard.problem, SCHEDULE) is None
    reason = MondrianSets(rows=601).supports(hard.problem, SCHEDULE)
    assert reason == "rows=601 is more than the 600 calibration rows of toy"
    with pytest.raises(ConfigError, match="raise protocol"):
        MondrianSets(rows=600).deploy(hard)
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        TypeAdapter(MondrianSets).validate_python({"rows": 0})


def test_thresholds_use_the_scores_of_their_category_alone(hard):
    own = calibration_scores(hard, SCORES["lac"])
    found = by_category(own.true, own.group, 3, 0.1)
    for r in range(2):
        for g in range(3):
            mine = own.true[r][own.group[r] == g].sort().values
            assert found[r, g] == mine[int(np.ceil((len(mine) + 1) * 0.9)) - 1]
