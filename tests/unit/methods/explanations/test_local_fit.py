"""Held-out R2 of many targets against scikit-learn, with weights."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from tests.conftest import make_problem, make_system
from tests.unit.methods.explanations.test_lime_surrogate import in_double, rows, with_categories
from trustbench.methods.explanations.lime_surrogate import Lime, Stream
from trustbench.methods.explanations.local_fit import held_out_r2

CASES = {"one design for all rows": lambda p: p, "a design per row": with_categories}


def sklearn_r2(x, w, t, *, fit_weights=True, score_weights=True, held_out=True):
    half = len(t) // 2
    fit, rest = slice(None, half), slice(half, None) if held_out else slice(None, half)
    model = Ridge(1.0).fit(x[fit], t[fit], sample_weight=w[fit] if fit_weights else None)
    weights = w[rest] if score_weights else None
    return r2_score(t[rest], model.predict(x[rest]), sample_weight=weights)


def difference(case, **options):
    """Largest difference between our R2 and scikit-learn's for smooth and hard targets."""
    system = in_double(CASES[case](make_problem(n=200, classes=3)))
    lime = Lime(samples=300)
    area, X = lime.neighbourhood(system), rows(system)
    [(draws, smooth)] = lime.draws(system, area, X, Stream.PROBE)
    targets = torch.cat([smooth, (smooth > smooth.median()).double()])
    ours = held_out_r2(draws, targets).numpy()
    assert ours.shape == (6, 5)
    designs = draws.design.expand(1, 5, *draws.design.shape[2:])[0].numpy()
    weights = draws.weights.expand(1, 5, -1)[0].numpy()
    theirs = [
        [sklearn_r2(designs[i], weights[i], t[i].numpy(), **options) for i in range(5)]
        for t in targets
    ]
    return np.nanmax(np.abs(ours - np.array(theirs)))


@pytest.mark.parametrize("case", CASES)
def test_r2_is_scikit_learns(case):
    assert difference(case) < 1e-10


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("planted", ["fit_weights", "score_weights", "held_out"])
def test_the_comparison_sees_a_planted_error(case, planted):
    assert difference(case, **{planted: False}) > 1e-4


def test_a_target_that_does_not_vary_has_no_r2_and_rows_must_be_shared():
    system = make_system(make_problem(n=200), replicates=2, steps=1)
    lime = Lime(samples=40)
    area, X = lime.neighbourhood(system), rows(system).float()
    [(draws, targets)] = lime.draws(system, area, X, Stream.PROBE)
    flat = targets.clone()
    flat[1] = 0.5
    assert held_out_r2(draws, flat).isnan().sum(1).tolist() == [0, 5]
    own = draws._replace(Z=draws.Z.expand(2, -1, -1, -1))
    with pytest.raises(ValueError, match="differ by replicate"):
        held_out_r2(own, targets)
