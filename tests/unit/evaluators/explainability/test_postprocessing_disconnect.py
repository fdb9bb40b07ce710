"""The surrogate's value against scikit-learn's ridge; what a decider adds."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from tests.conftest import make_problem, make_system
from trustbench.contracts import Feature
from trustbench.evaluators.explainability.postprocessing_disconnect import PostprocessingDisconnect
from trustbench.methods.explanations.lime_surrogate import Lime, Stream
from trustbench.methods.explanations.surrogate_values import surrogate_values

QUICK = PostprocessingDisconnect(points=60, samples=150)


def named(measured):
    return {m.name: m.values for m in measured.measurements}


def deciding(system, decide):
    return dataclasses.replace(system, decider=decide)


def argmax(system):
    return lambda X, group: system.logits(X).argmax(-1)


def one_hot(problem):
    """The toy problem with its last two columns read as a one-hot block."""
    X = problem.X.copy()
    X[:, 4:] = np.eye(2, dtype=np.float32)[(X[:, 5] > X[:, 4]).astype(int)]
    block = Feature("c", "categorical", (4, 5), 0.0, 1.0, scale=0.0)
    return dataclasses.replace(problem, X=X, features=(*problem.features[:4], block))


def image(problem):
    """One-channel images of 12 x 12, explained by patches."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(problem.X.shape[1], 144)) * 0.3
    X = (problem.X @ mix).astype(np.float32).reshape(-1, 1, 12, 12)
    pixels = tuple(Feature(f"p{j}", "pixel", (j,), -9.0, 9.0) for j in range(144))
    return dataclasses.replace(problem, X=X, features=pixels)


@pytest.mark.parametrize("form", [lambda p: p, one_hot, image], ids=["shared", "rows", "patches"])
def test_the_surrogate_says_at_a_row_what_scikit_learns_says(problem, form):
    system = make_system(form(problem), 3, steps=60)
    lime = Lime(samples=120, patch_samples=120)
    area = lime.neighbourhood(system)
    X = system.tensor(system.problem.rows("test")[0][:7])
    ours = surrogate_values(system, lime, area, X, Stream.FRESH)
    assert ours.shape == (3, 7)
    (batch,) = lime.draws(system, area, X, Stream.FRESH)
    draws, target = batch
    design = draws.design[0].expand(7, *draws.design.shape[2:]).numpy()
    weights = draws.weights[0].expand(7, -1).numpy()
    here = np.ones(design.shape[-1]) if form is image else np.zeros(design.shape[-1])
    for r in range(3):
        for i in range(7):
            model = Ridge(alpha=1.0).fit(design[i], target[r, i].numpy(), weights[i])
            expected = model.predict(here[None])[0]
            assert float(ours[r, i]) == pytest.approx(expected, rel=1e-6, abs=1e-8)
            unweighted = Ridge(alpha=1.0).fit(design[i], target[r, i].numpy())  # planted error
            assert abs(unweighted.predict(here[None])[0] - expected) > 1e-7


def test_the_raw_rule_has_no_excess(system):
    found = named(QUICK.measure(deciding(system, argmax(system))))
    np.testing.assert_array_equal(found["disconnect"], found["disconnect_raw"])
    assert found["override_rate"].tolist() == [0] * 4


def test_a_linear_score_is_explained_without_error_and_only_overrides_disconnect(system):
    g = torch.Generator().manual_seed(0)
    W = torch.randn(4, 6, 2, generator=g) * 0.3
    linear = dataclasses.replace(system, forward=lambda x: torch.bmm(x.expand(4, *x.shape[-2:]), W))

    def decide(X, group):
        raw = linear.logits(X).argmax(-1)
        return torch.where(torch.as_tensor(group == 1), 1 - raw, raw)

    measured = QUICK.measure(deciding(linear, decide))
    found, group = named(measured), system.problem.rows("test")[2][measured.arrays["rows"]]
    assert found["override_rate"].tolist() == [(group == 1).mean()] * 4
    assert (found["disconnect_raw"] < 0.04).all()  # points next to the boundary
    np.testing.assert_allclose(found["disconnect"], found["override_rate"], atol=0.04)
    # planted error: agreement in place of disagreement
    assert (np.abs((1 - found["disconnect"]) - found["override_rate"]) > 0.3).all()


def test_deciding_against_every_score_is_a_full_disconnect(system):
    found = named(QUICK.measure(deciding(system, lambda X, g: 1 - system.logits(X).argmax(-1))))
    assert found["override_rate"].tolist() == [1] * 4
    np.testing.assert_allclose(found["disconnect"], 1 - found["disconnect_raw"])


def test_disconnect_is_the_primary_and_its_null_a_diagnostic(system):
    measured = QUICK.measure(deciding(system, argmax(system)))
    assert [m.name for m in measured.measurements] == [
        "disconnect", "disconnect_raw", "override_rate",
    ]  # fmt: skip
    assert [m.diagnostic for m in measured.measurements] == [False, True, False]
    assert not any(m.higher_is_better for m in measured.measurements)


def test_without_a_rule_or_with_more_classes_there_is_a_reason(system, multiclass_system):
    assert "threshold_postprocessing" in QUICK.supports(system)
    assert QUICK.supports(deciding(system, argmax(system))) is None
    many = deciding(multiclass_system, argmax(multiclass_system))
    assert "this task has 5" in QUICK.supports(many)
    assert QUICK.supports(deciding(make_system(make_problem(), 2, steps=1), None)) is not None
