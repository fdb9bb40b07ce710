"""True explanations are faithful, reversed ones are not, and random ones score nothing."""

import dataclasses

import numpy as np
import pytest

from trustbench.evaluators.explainability.explanation_faithfulness import ExplanationFaithfulness
from trustbench.interventions.explainability.gradient_x_input import GradientInputRelease
from trustbench.interventions.explainability.kernel_shap import KernelShapRelease
from trustbench.interventions.explainability.lime import LimeRelease
from trustbench.interventions.explainability.saliency import SaliencyRelease
from trustbench.interventions.privacy.dp_explanations import PrivateExplanations

METHODS = {
    "lime": LimeRelease(samples=200),
    "saliency": SaliencyRelease("margin"),
    "gradient_x_input": GradientInputRelease("margin"),
    "kernel_shap": KernelShapRelease(),
}
KINDS = ("released", "random", "noise")
NAMES = [f"{name}_{kind}" for kind in KINDS for name in ("deletion", "insertion")]


def measured(system, **fields):
    return {m.name: m for m in ExplanationFaithfulness(**fields).measure(system).measurements}


@pytest.mark.parametrize("name", METHODS)
def test_released_explanations_are_faithful_and_random_ones_are_not(system, name):
    released = METHODS[name].deploy(system)
    found = measured(released)
    assert list(found) == NAMES
    assert [m.diagnostic for m in found.values()] == [False] * 2 + [True] * 4
    for kind in ("deletion", "insertion"):
        assert (found[f"{kind}_released"].values > 0.08).all()
        assert abs(found[f"{kind}_random"].values.mean()) < 0.06
    opposite = dataclasses.replace(released, explainer=lambda X, k: -released.explain(X, k))
    assert (measured(opposite)["deletion_released"].values < -0.02).all()


def test_what_attributions_mean_counts(system):
    """Planted error: contributions read as slopes are less faithful than as what they are."""
    released = GradientInputRelease("margin").deploy(system)
    wrong = dataclasses.replace(released, facts={"attributions": "slopes"})
    found, mistaken = measured(released), measured(wrong)
    assert found["deletion_released"].values.mean() > (
        mistaken["deletion_released"].values.mean() + 0.03
    )
    slopes = measured(SaliencyRelease("margin").deploy(system))
    np.testing.assert_allclose(
        slopes["deletion_released"].values, found["deletion_released"].values, atol=1e-5
    )


def test_noise_knows_the_row_where_attributions_are_slopes(system):
    """Private noise on slopes scores what the control says, above that of random effects."""
    noisy = PrivateExplanations(epsilon=0.01).deploy(SaliencyRelease().deploy(system))
    found = {k: m.values.mean() for k, m in measured(noisy, points=180).items()}
    assert found["deletion_released"] == pytest.approx(found["deletion_noise"], abs=0.03)
    contributions = measured(GradientInputRelease().deploy(system), points=180)
    assert abs(contributions["deletion_noise"].values.mean()) < 0.03


def test_noise_for_privacy_takes_faithfulness(system):
    lime = LimeRelease(samples=200).deploy(system)
    values = [
        measured(PrivateExplanations(epsilon=e).deploy(lime))["deletion_released"].values.mean()
        for e in (0.1, 1e6)
    ]
    assert abs(values[0]) < 0.06
    assert values[1] > 0.08


@pytest.mark.parametrize(("field", "value"), [("points", 20), ("share", 0.5)])
def test_every_setting_counts(system, field, value):
    lime = LimeRelease(samples=100).deploy(system)
    base, changed = measured(lime), measured(lime, **{field: value})
    assert (base["deletion_released"].values != changed["deletion_released"].values).any()
    assert measured(lime, points=20)["deletion_released"].n == 20


def test_it_needs_released_explanations(system):
    assert ExplanationFaithfulness().supports(system) == (
        "needs released explanations (intervention=lime)"
    )
    assert ExplanationFaithfulness.reads == {"forward", "explainer"}
