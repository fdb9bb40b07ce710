"""What is released is coarser, in the way that each mode says; nothing else changes."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import softmax

from trustbench.config.binding import bind
from trustbench.contracts import Schedule
from trustbench.errors import ConfigError
from trustbench.evaluators.privacy.privacy import Privacy
from trustbench.interventions.privacy.restricted_interface import RestrictedInterface
from trustbench.methods.attacks import membership as mia

SCHEDULE = Schedule(regime="tuned", epochs=2, batch_size=32, lr=0.1)
LOGITS = torch.tensor([[2.0, 1.0, 0.5, -1.0], [0.0, -3.0, 4.0, 1.0]])


def reference(logits, keep):
    """Numpy: probabilities, with all but the `keep` largest replaced by their mean."""
    p = softmax(logits.numpy(), axis=-1)
    for row in p:
        small = np.argsort(-row)[keep:]
        row[small] = row[small].mean()
    return p


def test_each_mode_releases_what_it_says():
    label = RestrictedInterface().release(LOGITS)
    assert label.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]
    top = RestrictedInterface("top_k", k=2).release(LOGITS)
    np.testing.assert_allclose(top, reference(LOGITS, 2), atol=1e-6)
    assert np.abs(top.numpy() - reference(LOGITS, 1)).max() > 0.01  # planted error: one k fewer
    rounded = RestrictedInterface("rounded", decimals=1).release(LOGITS)
    np.testing.assert_allclose(rounded, softmax(LOGITS.numpy(), -1).round(1), atol=1e-6)


def test_only_the_interface_opens_and_the_decisions_stay(multiclass_system):
    plugin = RestrictedInterface("top_k", k=1)
    assert not plugin.retrains
    shown = plugin.deploy(multiclass_system)
    X, _, group = shown.problem.rows("test")
    x = shown.tensor(X)
    assert torch.equal(shown.decide(x, group), multiclass_system.decide(x, group))
    logits = shown.logits(x)
    assert torch.equal(shown.observed(logits).argmax(-1), logits.argmax(-1))
    assert not torch.allclose(shown.observed(logits), multiclass_system.observed(logits))
    assert multiclass_system.interface is None


def test_a_mode_needs_its_number_and_no_other(problem, multiclass_system):
    for wrong in (
        {"mode": "top_k"},
        {"mode": "label", "k": 2},
        {"mode": "rounded", "k": 2},
        {"mode": "top_k", "k": 2, "decimals": 1},
    ):
        with pytest.raises(ConfigError, match=r"intervention.restricted_interface: .* null otherw"):
            bind(RestrictedInterface, wrong, "intervention.restricted_interface")
    assert RestrictedInterface().supports(problem, SCHEDULE) is None
    assert RestrictedInterface("rounded", decimals=2).supports(problem, SCHEDULE) is None
    five = multiclass_system.problem
    assert RestrictedInterface("top_k", k=3).supports(five, SCHEDULE) is None
    assert "determine all" in RestrictedInterface("top_k", k=4).supports(five, SCHEDULE)
    assert "determine all" in RestrictedInterface("top_k", k=1).supports(problem, SCHEDULE)


def test_the_attacker_sees_what_is_released_and_no_more(system):
    y = system.problem.rows("train")[1]
    logits = system.split_logits("train")
    own = mia.released_logits(system, logits)
    assert own.dtype == np.float32
    assert np.array_equal(own, logits.numpy())
    shown = RestrictedInterface("rounded", decimals=2).deploy(system)
    phi = mia.logit_confidence(mia.released_logits(shown, logits), y)
    p = softmax(logits.double().numpy(), -1)[:, np.arange(len(y)), y].round(2)
    inner = (p > 0) & (p < 1)
    np.testing.assert_allclose(phi[inner], np.log(p[inner] / (1 - p[inner])), atol=1e-9)
    # a released 0 is less than half a hundredth; nothing is infinite
    np.testing.assert_allclose(phi[p == 1], np.log(1 / 0.005))
    np.testing.assert_allclose(mia.true_probability(shown, logits, y), p, atol=1e-12)


def test_behind_labels_every_attack_on_the_loss_is_the_floor(system):
    shown = RestrictedInterface().deploy(system)
    y, member = system.problem.rows("train")[1], system.membership
    right = system.split_logits("train").argmax(-1).numpy() == y
    found = {m.name: m.values for m in Privacy().measure(shown).measurements}
    gap = [(r[m].mean() - r[~m].mean()) / 2 for r, m in zip(right, member, strict=True)]
    np.testing.assert_allclose(found["loss_auc"], 0.5 + np.array(gap))
    untouched = {m.name: m.values for m in Privacy().measure(system).measurements}
    again = dataclasses.replace(system, interface=lambda logits: logits.softmax(-1))
    full = {m.name: m.values for m in Privacy().measure(again).measurements}
    np.testing.assert_allclose(full["loss_auc"], untouched["loss_auc"], atol=1e-9)
