"""BayesLIME is LIME with intervals: another channel, the same attributions."""

import torch

from trustbench.interventions.explainability.bayes_lime import BayesLimeRelease
from trustbench.interventions.explainability.lime import LimeRelease


def test_attributions_are_limes_and_intervals_contain_them(system):
    released = BayesLimeRelease(samples=100).deploy(system)
    assert system.intervals is None
    X = torch.as_tensor(system.problem.rows("test")[0][:6])
    for repeat in (0, 1):
        found = released.explain(X, repeat)
        assert torch.equal(found, LimeRelease(samples=100).deploy(system).explain(X, repeat))
        lower, upper = released.intervals(X, repeat)
        assert ((lower < found) & (found < upper)).all()
    assert released.facts["attributions"] == "slopes"


def test_a_higher_level_is_a_wider_interval(system):
    X = torch.as_tensor(system.problem.rows("test")[0][:6])
    ends = [
        BayesLimeRelease(samples=60, level=q).deploy(system).intervals(X, 0) for q in (0.5, 0.99)
    ]
    assert (ends[0][1] - ends[0][0] < ends[1][1] - ends[1][0]).all()
    assert BayesLimeRelease().dose == ("samples",)
