"""A trigger that is legal and rare, who carries it, and that a model learns it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from tests.tables import make_table
from trustbench.contracts import Feature
from trustbench.evaluators.robustness.backdoor_success import BackdoorSuccess
from trustbench.interventions.robustness.backdoor import Backdoor
from trustbench.methods.attacks.poisoning.trigger import trigger

TABLE = make_table()


def images(n=600):
    """Pictures of 3 x 3 pixels whose corners are dark in all but a few rows."""
    problem = make_problem(n=n, d=9)
    rng = np.random.default_rng(0)
    X = np.abs(problem.X)
    X[:, [0, 2, 6]] = 0.0
    X[:5, 0] = 4.0
    pixels = tuple(Feature(f"p{j}", "pixel", (j,), 0.0, 4.0) for j in range(9))
    return replace(problem, X=X[rng.permutation(n)], features=pixels)


def test_images_get_bright_pixels_where_they_are_dark():
    found = trigger(images(), 3)
    assert sorted(found.columns.tolist()) == [0, 2, 6]
    assert (found.values == 4.0).all()
    dark = replace(found, values=np.zeros(3, dtype=np.float32))  # the published mistake
    assert dark.shown(images().X).mean() > 0.9
    assert found.shown(images().X).mean() == 0


def test_tables_get_the_rarest_levels_as_whole_categories():
    found = trigger(TABLE, 1)
    feature = next(f for f in TABLE.features if set(f.columns) == set(found.columns.tolist()))
    assert feature.kind == "categorical"
    assert feature.mutable
    assert found.values.sum() == 1
    flat = TABLE.rows("train")[0]
    share = flat[:, list(feature.columns)].mean(0)
    assert share[found.values > 0] == share[share > 0].min()
    assert trigger(TABLE, 50) is None
    assert "50" in Backdoor(size=50).supports(TABLE, None)


def test_a_share_of_other_classes_carries_it_and_has_the_attackers_label():
    problem, method = images(), Backdoor(share=0.1)
    X, y, _ = problem.rows("train")
    poisoned = method.poisoned(problem)
    seen, labels = method.inputs(problem, "train"), method.labels(problem)
    assert len(poisoned) == round(0.1 * len(y))
    assert (y[poisoned] == 0).all()
    assert (labels[poisoned] == 1).all()
    others = np.setdiff1d(np.arange(len(y)), poisoned)
    np.testing.assert_array_equal(seen[others], X[others])
    np.testing.assert_array_equal(labels[others], y[others])
    assert trigger(problem, 3).shown(seen[poisoned]).all()
    assert method.inputs(problem, "validation") is None
    fewer = Backdoor(share=0.05).poisoned(problem)
    assert set(fewer) <= set(poisoned)


def test_a_poisoned_model_obeys_and_a_clean_one_does_not():
    problem = images(1200)
    method = Backdoor(share=0.1)
    attacked_X, attacked_y = problem.X.copy(), problem.y.copy()
    attacked_X[problem.splits["train"]] = method.inputs(problem, "train")
    attacked_y[problem.splits["train"]] = method.labels(problem)
    attacked = make_system(replace(problem, X=attacked_X, y=attacked_y))
    attacked = replace(attacked, problem=problem)

    def found(system):
        return {m.name: m.values.mean() for m in BackdoorSuccess().measure(system).measurements}

    bad, clean = found(attacked), found(make_system(problem))
    assert bad["success"] > 0.9
    assert clean["success"] < 0.7
    assert bad["flipped_by_trigger"] > clean["flipped_by_trigger"]


def test_success_is_that_of_a_loop():
    system = make_system(TABLE)
    X, y, group = TABLE.rows("test")
    found = trigger(TABLE, 3)
    rows = [i for i in range(len(y)) if y[i] != 1 and not found.shown(X[i : i + 1])[0]]
    hits = [
        system.decide(torch.as_tensor(found.on(X[i : i + 1])), group[i : i + 1])[:, 0] == 1
        for i in rows
    ]
    measured = BackdoorSuccess().measure(system).measurements[0]
    assert measured.n == len(rows)
    np.testing.assert_allclose(measured.values, torch.stack(hits).double().mean(0))


def test_an_unknown_class_is_answered_with_the_nearest():
    assert "'yess'" in Backdoor(target="yess").supports(TABLE, None)
    assert BackdoorSuccess(target="yess").supports(make_system(TABLE)) is not None


@pytest.mark.parametrize("target", ["0", None])
def test_the_attacker_may_want_any_class(target):
    problem = images()
    labels = Backdoor(target=target).labels(problem)
    wanted = 0 if target == "0" else 1
    assert (labels == wanted).sum() > (problem.rows("train")[1] == wanted).sum()
