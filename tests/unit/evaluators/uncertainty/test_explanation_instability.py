"""Explanations that repeat themselves, that swap columns, and LIME at several prices."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from trustbench.evaluators.uncertainty.explanation_instability import (
    ExplanationInstability,
    instability,
    sharpness,
    sign_flips,
)
from trustbench.interventions.explainability.lime import LimeRelease
from trustbench.methods.explanations.lime_surrogate import Lime, Stream

FEW = {"points": 40, "top_k": 2, "lime_samples": (50, 400)}


def named(measured):
    return {m.name: m.values for m in measured.measurements}


def explained_by(system, answer):
    """The system with attributions answer(k) [d], or [n, d], for every replicate and row."""

    def explain(X, repeat):
        n = X.shape[-2]
        return answer(repeat).expand(system.replicates, n, system.problem.n_features)

    return dataclasses.replace(system, explainer=explain)


def by_sets(a, b, k):
    """1 - |top-k of a and of b| / k, a loop over points with numpy's sort and Python's sets."""
    out = []
    for x, y in zip(a, b, strict=True):
        pairs = [
            set(np.argsort(-np.abs(u))[:k]) & set(np.argsort(-np.abs(v))[:k])
            for u, v in zip(x, y, strict=True)
        ]
        out.append(1 - np.mean([len(p) / k for p in pairs]))
    return out


def flips(a, b, k):
    """The share of a's top k columns with the other sign in b, a loop over points."""
    out = []
    for x, y in zip(a, b, strict=True):
        shares = []
        for u, v in zip(x, y, strict=True):
            best = np.argsort(-np.abs(u))[:k]
            shares.append(np.mean(np.sign(u[best]) == -np.sign(v[best])))
        out.append(np.mean(shares))
    return out


def test_a_deterministic_explainer_has_no_instability(system):
    same = torch.tensor([3.0, -2.0, 1.0, 0.5, 0.0, 0.0])
    found = named(ExplanationInstability(**FEW).measure(explained_by(system, lambda k: same)))
    assert (found["instability"] == 0).all()
    assert (found["sign_flip_rate"] == 0).all()
    np.testing.assert_allclose(found["false_confidence"], 1)


def test_one_swapped_column_of_two_is_a_half_and_one_flipped_sign_too(system):
    first = torch.tensor([3.0, -2.0, 1.0, 0.5, 0.0, 0.0])
    second = torch.tensor([3.0, 0.5, -2.5, 0.5, 0.0, 0.0])
    answers = {1: first, 2: second}
    evaluator = ExplanationInstability(**FEW)
    found = named(evaluator.measure(explained_by(system, answers.__getitem__)))
    np.testing.assert_allclose(found["instability"], 0.5)
    np.testing.assert_allclose(found["sign_flip_rate"], 0.5)


def test_the_numbers_are_those_of_loops_over_sets():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 30, 8))
    for k in (1, 3, 7):
        x, y = torch.as_tensor(a), torch.as_tensor(b)
        np.testing.assert_allclose(instability(x, y, k), by_sets(a, b, k), atol=1e-12)
        np.testing.assert_allclose(sign_flips(x, y, k), flips(a, b, k), atol=1e-12)
    # planted: signed attributions ranked, and the sign counted over all columns
    signed = instability(x.clamp(min=0), y.clamp(min=0), 3).numpy()
    assert np.abs(signed - by_sets(a, b, 3)).max() > 0.05
    assert np.abs(np.subtract(flips(a, b, 8), flips(a, b, 1))).max() > 0.05


def test_more_perturbations_are_steadier(system):
    measured = ExplanationInstability(**FEW).measure(LimeRelease(samples=400).deploy(system))
    found = named(measured)
    assert set(found) == {
        "instability", "sign_flip_rate", "instability_50", "instability_400", "false_confidence"
    }  # fmt: skip
    assert found["instability_50"].mean() > found["instability_400"].mean() + 0.05
    assert found["instability"].mean() > 0
    assert measured.facts == {"top_k": 2}


def test_two_runs_on_one_stream_would_agree_fully(system):
    """The planted error: the second answer drawn from the first's random numbers."""
    lime = Lime(samples=50)
    area = lime.neighbourhood(system)
    X = system.tensor(system.problem.rows("test")[0][:12])
    once = lime.attributions(system, area, X, Stream.FRESH, 101)
    assert (instability(once, lime.attributions(system, area, X, Stream.FRESH, 101), 2) == 0).all()
    found = named(ExplanationInstability(**FEW).measure(LimeRelease(samples=50).deploy(system)))
    assert (found["instability_50"] > 0).all()


def test_sharpness_is_one_less_scipys_entropy():
    a = np.random.default_rng(1).normal(size=(4, 6))
    expected = 1 - entropy(np.abs(a), axis=-1) / np.log(6)
    ours = sharpness(torch.as_tensor(a)).numpy()
    np.testing.assert_allclose(ours, expected)
    squared = 1 - entropy(a**2, axis=-1) / np.log(6)  # planted: shares of squares
    assert np.abs(ours - squared).max() > 0.05


def test_false_confidence_divides_the_unsure_tenth_by_the_sure(system):
    """Explanations on one column where the model is sure, even over three where it is not."""
    sharp, even = torch.eye(6)[0], torch.tensor([1.0, 1, 1, 0, 0, 0])

    def explain(X, repeat):
        p = system.logits(X).softmax(-1).amax(-1)
        return torch.where((p > p.median(-1, keepdim=True).values)[..., None], sharp, even)

    telling = dataclasses.replace(system, explainer=explain)
    found = named(ExplanationInstability(**FEW).measure(telling))
    np.testing.assert_allclose(found["false_confidence"], 1 - np.log(3) / np.log(6), atol=1e-6)
    nothing = explained_by(system, lambda k: torch.zeros(6))
    measured = ExplanationInstability(**FEW).measure(nothing)
    assert measured.missing["false_confidence"].startswith(
        "explanations of some tenth are all zero"
    )


def test_it_needs_explanations_and_columns_to_choose_from(system):
    evaluator = ExplanationInstability()
    assert evaluator.supports(system) == "needs released explanations (intervention=lime)"
    released = LimeRelease().deploy(system)
    assert evaluator.supports(released) is None
    reason = ExplanationInstability(top_k=6).supports(released)
    assert reason == "the top 6 cover all 6 columns of toy, so any two explanations agree"


@pytest.mark.parametrize("kind", ["numeric", "pixel"])
def test_images_compare_more_columns(system, kind):
    features = tuple(dataclasses.replace(f, kind=kind) for f in system.problem.features)
    problem = dataclasses.replace(system.problem, features=features)
    evaluator = ExplanationInstability(top_k=2, top_k_pixels=4)
    assert evaluator._k(dataclasses.replace(system, problem=problem)) == (
        4 if kind == "pixel" else 2
    )
