"""KernelSHAP is released through `explain`; the rest of the system stays."""

import pytest
import torch

from trustbench.errors import ConfigError
from trustbench.interventions.explainability.kernel_shap import KernelShapRelease
from trustbench.methods.explanations.kernel_shap import KernelShap


def test_deploy_opens_the_channel_of_a_copy(system):
    released = KernelShapRelease(samples=30, background=2).deploy(system)
    assert system.explainer is None
    X = torch.as_tensor(system.problem.rows("test")[0][:6])
    for repeat in (0, 1):
        expected = KernelShap(30, 2).attributions(system, X, repeat)
        assert torch.equal(released.explain(X, repeat), expected)
    assert released.facts["attributions"] == "contributions"
    assert KernelShapRelease().dose == ("samples",)


def test_too_few_coalitions_are_refused(system):
    with pytest.raises(ConfigError, match="samples=20 coalitions are too few"):
        KernelShapRelease(samples=20).deploy(system)
