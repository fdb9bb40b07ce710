"""The rows that a report shows: which, with whose explanations, and whose never."""

import dataclasses
import json

import numpy as np
import pytest

from tests.conftest import make_problem, make_system
from tests.tables import make_table
from trustbench.contracts import Feature
from trustbench.datasets import adult, celeba, compas, digits, silobank
from trustbench.evaluators.explainability.examples import Examples
from trustbench.interventions.explainability.lime import LimeRelease
from trustbench.methods.explanations import display
from trustbench.methods.explanations.released import explained_points


@pytest.fixture(scope="module")
def system():
    return make_system(make_table())


def released(system):
    """The system and its twins with LIME."""
    lime = LimeRelease(samples=100)
    opened = lime.deploy(system)
    return dataclasses.replace(opened, reseeded=lambda k: lime.deploy(system.reseeded(k)))


def private(system):
    card = dataclasses.replace(system.problem.card, rows_public=False)
    return dataclasses.replace(system, problem=dataclasses.replace(system.problem, card=card))


def test_rows_are_those_that_evaluators_of_explanations_take(system):
    found = Examples(points=3).measure(system)
    _, rows = explained_points(system, 3)
    assert found.measurements == ()
    assert found.arrays["rows"].tolist() == rows.tolist()
    X, y, _ = system.problem.rows("test")
    assert found.arrays["labels"].tolist() == y[rows].tolist()
    assert json.loads(found.facts["features"]) == ["x0", "x1", "colour", "g"]
    assert json.loads(found.facts["values"]) == display.named_values(system.problem, X[rows])
    assert "pictures" not in found.arrays


def test_the_control_is_the_baseline_with_other_seeds(system):
    found = Examples(points=3, replicate=1).measure(system)
    assert found.facts["sides"] == "probe control"
    X, _ = explained_points(system, 3)
    for k, each in enumerate((system, system.baseline().reseeded(1))):
        columns = display.by_gradient(each, X)[1].double().numpy()
        wanted = display.per_place(system.problem, columns)
        np.testing.assert_allclose(found.arrays["effects"][k], wanted, rtol=1e-4, atol=1e-6)
        classes, probability = display.predictions(each, X, 1)
        assert found.arrays["classes"][k].tolist() == classes.tolist()
        np.testing.assert_allclose(found.arrays["probability"][k], probability)
    alone = dataclasses.replace(system, baseline=None)
    same = Examples(points=3, replicate=1).measure(alone)
    np.testing.assert_array_equal(same.arrays["effects"], found.arrays["effects"])


def test_released_explanations_come_with_those_of_a_twin(system):
    found = Examples(points=3).measure(released(system))
    assert found.facts["sides"] == "probe control released twin"
    X, _ = explained_points(system, 3)
    for k, each in ((2, released(system)), (3, released(system).reseeded(1))):
        wanted = display.per_place(system.problem, display.released(each, X)[0].double().numpy())
        np.testing.assert_allclose(found.arrays["effects"][k], wanted, rtol=1e-4, atol=1e-6)
    assert (found.arrays["effects"][2] != found.arrays["effects"][3]).any()


def test_an_arm_without_other_draws_has_no_control(system):
    lone = dataclasses.replace(released(system), baseline=None, reseeded=None)
    assert Examples(points=2).measure(lone).facts["sides"] == "probe released"


def test_images_keep_their_pictures_and_an_effect_for_each_pixel():
    problem = make_problem(n=300, d=12)
    problem = dataclasses.replace(
        problem,
        X=problem.X.reshape(-1, 3, 2, 2),
        features=tuple(Feature(f"p{j}", "pixel", (j,), -9.0, 9.0) for j in range(12)),
    )
    found = Examples(points=2).measure(make_system(problem))
    assert found.arrays["pictures"].shape == (2, 2, 2, 3)
    assert found.arrays["effects"].shape == (2, 2, 4)
    assert "features" not in found.facts


def test_rows_of_people_are_kept_only_where_the_card_or_the_user_says_so(system):
    assert Examples().supports(system) is None
    reason = Examples().supports(private(system))
    assert "the card of table does not say that its rows may be shown" in reason
    assert "evaluator.examples.rows=always" in reason
    assert Examples(rows="always").supports(private(system)) is None
    assert "rows=never" in Examples(rows="never").supports(system)
    assert "no replicate 9 among 4" in Examples(replicate=9).supports(system)


@pytest.mark.parametrize("card", [compas.CARD, celeba.CARD], ids=["compas", "celeba"])
def test_people_who_can_be_recognised_are_not_shown(card):
    """Court records carry names at their source, and faces are faces."""
    assert not card.rows_public


@pytest.mark.parametrize("card", [digits.CARD, adult.CARD, silobank.CARD])
def test_census_extracts_digits_and_made_up_people_are(card):
    assert card.rows_public
