"""What a person can do to a value is never more than an attack may do."""

import itertools

import pytest

from trustbench.contracts import Feature
from trustbench.contracts.seeding import Streams
from trustbench.datasets.silobank import SiloBank

ORDER = {"any": {"up", "down"}, "up": {"up"}, "down": {"down"}, "none": set()}


@pytest.mark.parametrize(
    ("mutable", "change", "action"),
    list(itertools.product((True, False), ("any", "up", "down"), (None, *ORDER))),
)
def test_an_action_is_within_what_may_change(mutable, change, action):
    feature = Feature("x", "numeric", (0,), 0, 1, mutable=mutable, change=change, action=action)
    allowed = ORDER[change] & ORDER[action or "any"] if mutable else set()
    assert ORDER[feature.actionable] == allowed


def test_nobody_unlearns_and_the_fingerprint_stays(tmp_path):
    problem = SiloBank(rows=1000).load(tmp_path, Streams(0))
    actions = {f.name: f.actionable for f in problem.features}
    assert actions["education"] == actions["employment_years"] == "up"
    assert actions["age"] == actions["group"] == actions["credit_history_years"] == "none"
    assert actions["utilisation"] == "any"
    assert "action" not in repr(problem.features)  # on which fingerprints depend
