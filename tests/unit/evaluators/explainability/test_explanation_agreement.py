"""Agreement with twins that are equal, known or unrelated, and stability under noise."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from trustbench.evaluators.explainability.explanation_agreement import ExplanationAgreement

D = 6


def named(measured):
    return {m.name: m.values for m in measured.measurements}


def linear(system, weights):
    """A system with margin X w for each row of weights [R, d]."""
    weights = torch.as_tensor(weights, dtype=torch.float32)

    def forward(X):
        margin = (X * weights[:, None]).sum(-1)
        return torch.stack([torch.zeros_like(margin), margin], dim=-1)

    return dataclasses.replace(system, forward=forward, replicates=len(weights), reseeded=None)


def with_twin(system, twin):
    return dataclasses.replace(system, reseeded=lambda k: twin)


def weights(seed, replicates=3):
    return np.random.default_rng(seed).normal(size=(replicates, D))


def scipy_agreement(system, w, other):
    """Spearman of gradient x (x - mean), a loop over points with equal predictions."""
    X = system.problem.rows("test")[0].astype(np.float64)
    moved = X - system.problem.rows("train")[0].mean(axis=0)
    out = []
    for own, twin in zip(w, other, strict=True):
        same = (X @ own > 0) == (X @ twin > 0)
        out.append(np.mean([spearmanr(own * x, twin * x).statistic for x in moved[same]]))
    return np.array(out)


def test_spearman_is_that_of_the_twins_own_attributions(system):
    own, twin = weights(0), weights(1)
    both = with_twin(linear(system, own), linear(system, twin))
    measured = ExplanationAgreement(points=10**6, top_k=2).measure(both)
    expected = scipy_agreement(system, own, twin)
    np.testing.assert_allclose(named(measured)["spearman"], expected, atol=1e-6)
    assert measured.facts["dropped_spearman"] > 0
    assert not measured.missing
    # planted: the twin's attributions would be its own again, or another replicate's
    assert np.abs(scipy_agreement(system, own, own) - expected).min() > 0.1
    assert np.abs(scipy_agreement(system, own, twin[::-1]) - expected).max() > 0.1


def test_an_equal_twin_agrees_and_a_trained_one_less(system):
    found = named(ExplanationAgreement(points=100).measure(with_twin(system, system)))
    for name in ("spearman", "top_k_overlap", "same_prediction"):
        np.testing.assert_allclose(found[name], 1)
    trained = named(ExplanationAgreement(points=100).measure(system))
    assert list(trained) == ["spearman", "top_k_overlap", "stability", "same_prediction"]
    assert (trained["spearman"] < 0.999).all()
    assert (trained["spearman"] > 0.2).all()


def test_without_a_twin_only_stability_is_there(system):
    alone = dataclasses.replace(system, reseeded=None)
    measured = ExplanationAgreement(points=30).measure(alone)
    assert list(named(measured)) == ["stability"]
    assert measured.missing == dict.fromkeys(
        ("spearman", "top_k_overlap"), "this arm has no reseeded twin to agree with"
    )


def test_a_linear_models_saliency_is_stable_and_more_noise_moves_the_rest_more(system):
    line = linear(system, weights(0))
    saliency = ExplanationAgreement(method="saliency").measure(line)
    np.testing.assert_allclose(named(saliency)["stability"], 1)
    little, much = (
        named(ExplanationAgreement(noise=noise).measure(line))["stability"] for noise in (0.05, 1)
    )
    assert (little > 0.9).all()
    assert (much < little - 0.05).all()


def test_noise_leaves_immutable_columns_alone(system):
    fixed = [
        dataclasses.replace(f, mutable=j > 3, scale=0.0 if j == 5 else 1.0)
        for j, f in enumerate(system.problem.features)
    ]
    problem = dataclasses.replace(system.problem, features=tuple(fixed))
    X = system.tensor(problem.rows("test")[0][:50])
    moved = ExplanationAgreement()._moved(dataclasses.replace(system, problem=problem), X)
    assert (moved != X).any(0).tolist() == [False] * 4 + [True, False]
    assert (moved[:, 4] <= max(X[:, 4].max(), problem.features[4].upper)).all()
    none = [dataclasses.replace(f, mutable=False) for f in fixed]
    problem = dataclasses.replace(problem, features=tuple(none))
    measured = ExplanationAgreement().measure(dataclasses.replace(system, problem=problem))
    assert "no column of toy may be perturbed" in measured.missing["stability"]


def test_a_constant_model_ranks_nothing(system):
    flat = weights(0)
    flat[1] = 0
    both = with_twin(linear(system, flat), linear(system, flat))
    measured = ExplanationAgreement().measure(both)
    assert set(measured.missing) == {"spearman", "top_k_overlap", "stability"}
    assert "constant" in measured.missing["spearman"]


@pytest.mark.parametrize("top_k", [6, 7])
def test_all_features_always_agree(system, top_k):
    measured = ExplanationAgreement(points=20, top_k=top_k).measure(system)
    assert measured.missing["top_k_overlap"] == f"top_k={top_k} covers all 6 features"
