"""LIME is released through `explain`, the same at every asking, and retrains nothing."""

import torch

from trustbench.contracts.aspects import Aspect
from trustbench.interventions.explainability.lime import LimeRelease
from trustbench.methods.explanations.lime_surrogate import Lime, Stream


def test_deploy_opens_the_channel_of_a_copy(system):
    released = LimeRelease(samples=100).deploy(system)
    assert system.explainer is None
    X = torch.as_tensor(system.problem.rows("test")[0][:6])
    found = released.explain(X)
    assert found.shape == (4, 6, 6)
    assert found.dtype == X.dtype
    assert torch.equal(found, released.explain(X))
    lime = Lime(samples=100)
    expected = lime.attributions(system, lime.neighbourhood(system), X, Stream.RELEASED)
    assert torch.equal(found, expected)
    torch.testing.assert_close(released.explain(X.expand(4, *X.shape)), found)


def test_a_row_is_explained_alike_in_any_company(system):
    released = LimeRelease(samples=100).deploy(system)
    X = torch.as_tensor(system.problem.rows("test")[0][:6])
    torch.testing.assert_close(released.explain(X)[:, 2:3], released.explain(X[2:3]))


def test_it_is_a_release_with_a_dose():
    method = LimeRelease()
    assert method.aspect is Aspect.EXPLAINABILITY
    assert not method.retrains
    assert method.dose == ("samples",)
