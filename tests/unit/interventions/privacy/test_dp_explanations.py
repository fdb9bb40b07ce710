"""Private explanations: clipped, noisy, remembered, budgeted, and refused without any."""

import numpy as np
import pytest
import torch

from trustbench.contracts import Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.guarantees import is_claim
from trustbench.errors import ConfigError
from trustbench.interventions.explainability.bayes_lime import BayesLimeRelease
from trustbench.interventions.explainability.saliency import SaliencyRelease
from trustbench.interventions.privacy.dp_explanations import PrivateExplanations
from trustbench.methods.privacy.composition import spent

SCHEDULE = Schedule(regime="tuned", epochs=2, batch_size=32, lr=0.1)


@pytest.fixture(scope="module")
def explained(system):
    return SaliencyRelease(target="margin").deploy(system)


@pytest.fixture(scope="module")
def rows(system):
    return torch.as_tensor(system.problem.rows("test")[0][:40])


def test_without_explanations_the_user_is_told_what_to_take(system):
    with pytest.raises(ConfigError, match=r"none are released; combine it with lime"):
        PrivateExplanations().deploy(system)


@pytest.mark.parametrize(("mechanism", "order"), [("gaussian", 2), ("laplace", 1)])
def test_a_generous_budget_releases_the_clipped_vector(explained, rows, mechanism, order):
    method = PrivateExplanations(mechanism, epsilon=1e9, bound=0.5)
    found = method.deploy(explained).explain(rows)
    plain = explained.explain(rows)
    norms = plain.norm(p=order, dim=-1, keepdim=True)
    assert (norms > 0.5).any()
    expected = plain / norms * norms.clamp(max=0.5)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("mechanism", ["gaussian", "laplace"])
def test_answers_are_noisy_remembered_and_new_at_another_repeat(explained, rows, mechanism):
    method = PrivateExplanations(mechanism, epsilon=2.0, bound=0.5)
    private = method.deploy(explained)
    found = private.explain(rows)
    assert torch.equal(found, private.explain(rows))
    torch.testing.assert_close(found[:, 7:9], private.explain(rows[7:9]))
    torch.testing.assert_close(found, private.explain(rows.expand(4, *rows.shape)))
    other = private.explain(rows, 1)
    clipped = PrivateExplanations(mechanism, epsilon=1e9, bound=0.5).deploy(explained).explain(rows)
    first, second = (found - clipped).flatten(), (other - clipped).flatten()
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    deviation = {"gaussian": 1.0, "laplace": 2**0.5}[mechanism]
    scale = private.facts["explanation_noise"] * deviation
    assert float(first.std()) == pytest.approx(scale, rel=0.1)


def test_intervals_hold_the_clipped_attribution_as_often_as_they_say(system, rows):
    wrapped = BayesLimeRelease(samples=60).deploy(system)
    private = PrivateExplanations(epsilon=2.0, level=0.8).deploy(wrapped)
    lower, upper = private.intervals(rows, 0)
    torch.testing.assert_close((lower + upper) / 2, private.explain(rows))
    clipped = PrivateExplanations(epsilon=1e9).deploy(wrapped).explain(rows)
    inside = ((lower < clipped) & (clipped < upper)).double().mean()
    assert float(inside) == pytest.approx(0.8, abs=0.05)
    assert float((upper - lower).std()) < 1e-5, "their width tells nothing about the row"


def test_the_facts_state_the_budget(explained):
    facts = PrivateExplanations(epsilon=0.5, queries=50).deploy(explained).facts
    assert facts["explanation_epsilon_per_query"] == 0.5
    assert facts["explanation_queries"] == 50
    assert facts["attributions"] == "slopes", "what the wrapped method means stays"
    assert not any(map(is_claim, facts)), "the total is the ledger's to say"
    laplace = PrivateExplanations("laplace", epsilon=0.5, queries=2)
    assert laplace.deploy(explained).facts["explanation_delta_per_query"] == 0.0


def test_the_ledger_is_told_of_every_question(problem):
    def total(method):
        (read,) = method.declares(problem, SCHEDULE, 100)
        assert (read.covers, read.neighbours) == ("explanation", "replace")
        return spent([read.mechanism], read.delta)

    assert 0.5 < total(PrivateExplanations(epsilon=0.5, queries=50)).epsilon < 25
    assert total(PrivateExplanations(epsilon=0.5, queries=1)).epsilon == pytest.approx(0.5)
    laplace = total(PrivateExplanations("laplace", epsilon=0.5, queries=2))
    assert (laplace.epsilon, laplace.delta) == (1.0, 0.0)


def test_it_is_a_privacy_method_that_changes_a_release():
    method = PrivateExplanations()
    assert method.aspect is Aspect.PRIVACY
    assert method.deploys == "release"
    assert method.dose == ("epsilon",)
    assert not method.retrains
