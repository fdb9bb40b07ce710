"""Top-k overlap of released explanations under attack, against a random direction."""

import dataclasses

import numpy as np
import pytest
import torch

from trustbench.evaluators.robustness.explanation_attack import ExplanationAttack
from trustbench.methods.attacks.evasion.pgd import margin

QUICK = ExplanationAttack(top_k=2, points=30, epsilon=0.3, steps=8)


@pytest.fixture
def released(multiclass_system):
    """The multiclass system with its own saliency as the released explanation."""
    calls = []

    def explain(X, repeat):
        calls.append(X)
        X = X.detach().clone().requires_grad_()
        logits = multiclass_system.forward(X)
        lead = -margin(logits, logits.argmax(-1).detach())
        return torch.autograd.grad(lead.sum(), X)[0].flatten(2)

    return dataclasses.replace(multiclass_system, explainer=explain), calls


def named(measured):
    return {m.name: m.values for m in measured.measurements}


def test_the_attack_costs_overlap_beyond_chance(released):
    system, calls = released
    measured = QUICK.measure(system)
    v = named(measured)
    assert list(v)[:2] == ["overlap_attack", "overlap_random"]
    assert (v["overlap_attack"] < v["overlap_random"]).all()
    np.testing.assert_allclose(v["overlap_loss"], v["overlap_random"] - v["overlap_attack"])
    assert (v["zero_second_derivative"] == 0).all()
    assert len(calls) == 3  # clean, attacked, random: each explained once
    clean, attacked, control = calls
    for x in (attacked, control):
        assert torch.equal(system.forward(x).argmax(-1), system.forward(clean).argmax(-1))
    diagnostic = {m.name for m in measured.measurements if m.diagnostic}
    assert diagnostic == {"overlap_loss", "attack_radius", "zero_second_derivative"}


def test_an_explanation_that_ignores_its_input_cannot_be_attacked(released):
    system, _ = released
    fixed = torch.arange(6.0).expand(4, 30, 6)
    v = named(QUICK.measure(dataclasses.replace(system, explainer=lambda X, repeat: fixed)))
    assert (v["overlap_attack"] == 1).all()
    assert (v["overlap_loss"] == 0).all()


def test_same_numbers_twice(released):
    a, b = (named(QUICK.measure(released[0])) for _ in range(2))
    assert all(np.array_equal(a[k], b[k]) for k in a)


def test_what_it_needs(system, released):
    assert QUICK.supports(system) == "needs released explanations"
    assert QUICK.supports(released[0]) is None
    all_columns = dataclasses.replace(QUICK, top_k=6)
    assert "give a smaller top_k" in (all_columns.supports(released[0]) or "")
