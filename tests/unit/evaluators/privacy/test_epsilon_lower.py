"""What an audit proves of trained DP-SGD models never exceeds what the privacy ledger claims."""

import pytest

from trustbench.config.compose import compose, composed_arm
from trustbench.evaluators.privacy.membership_attacks import MembershipAttacks
from trustbench.execution.deploy import deployed
from trustbench.execution.plan import plan
from trustbench.store.records import Store

SMALL = ["training=memorising", "training.epochs=30", "training.max_members=60"]
DATA = {
    "silobank": ["dataset=silobank", "dataset.rows=1000"],
    "digits": ["dataset=digits"],
}


def audited(tmp_path, data, seed, *overrides, replicates=8):
    """The ledger's claim of a small arm, and the evaluator's bounds [R] with their facts."""
    own = [*DATA[data], *SMALL, f"protocol.replicates={replicates}", f"seed={seed}"]
    arm = composed_arm(compose([*own, "model.hidden=[24]", *overrides]))
    system = deployed(plan(arm), Store(tmp_path), lambda *_: None)
    measured = MembershipAttacks().measure(system)
    [lower] = [m.values for m in measured.measurements if m.name == "epsilon_lower"]
    return system.facts.get("epsilon"), lower, measured.facts


def private(epsilon):
    return [
        "intervention=dpsgd",
        f"intervention.dpsgd.epsilon={epsilon}",
        "intervention.dpsgd.epochs=30",
    ]


@pytest.mark.parametrize("epsilon", [0.5, 8.0])
def test_the_measured_epsilon_of_private_models_is_below_the_ledgers(tmp_path, epsilon):
    claimed, lower, facts = audited(tmp_path, "digits", 0, *private(epsilon))
    assert 0 < claimed <= epsilon
    assert (lower <= claimed).all()
    assert facts["epsilon_lower_pooled"] <= claimed
    assert facts["epsilon_accounted"] == claimed


def test_a_claim_that_is_not_true_of_a_model_is_contradicted(tmp_path):
    """The planted error: models that memorise without noise, if they claimed epsilon 0.5."""
    claimed, lower, facts = audited(tmp_path, "digits", 0)
    assert claimed is None
    assert facts["epsilon_lower_pooled"] > 0.5
    assert (lower > 0.5).mean() > 0.2


@pytest.mark.science
@pytest.mark.parametrize("data", list(DATA))
def test_the_measured_epsilon_stays_below_over_seeds_and_budgets(tmp_path, data):
    """Each bound holds with confidence .95 alone, so one replicate in twenty may exceed it."""
    above, total = 0, 0
    for seed in range(8):
        for epsilon in (0.3, 1.0, 3.0, 10.0):
            claimed, lower, facts = audited(tmp_path, data, seed, *private(epsilon), replicates=12)
            assert facts["epsilon_lower_pooled"] <= claimed
            above, total = above + int((lower > claimed).sum()), total + len(lower)
    assert above <= 0.05 * total
