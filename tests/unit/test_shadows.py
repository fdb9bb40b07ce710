"""`protocol.shadows`: models that only attack, of the same recipe, which move nothing else."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.unit.arm_toys import ACCURACY, DP, ignore, run
from trustbench.config.arms import Chosen
from trustbench.config.compose import compose, composed_arm
from trustbench.config.identity import evaluation_id
from trustbench.errors import ConfigError
from trustbench.evaluators.privacy.adversarial_membership import AdversarialMembership
from trustbench.evaluators.privacy.privacy import Privacy
from trustbench.execution.deploy import deployed
from trustbench.execution.fit import fit
from trustbench.execution.other_systems import with_other_systems
from trustbench.execution.plan import plan
from trustbench.methods.attacks.membership import Observed, auc, each
from trustbench.store.records import Store
from trustbench.summary.table.audit_power import audits

PRIVACY = Chosen("privacy", Privacy())


@pytest.fixture
def shadowed(arm):
    """Four replicates and six shadows."""
    return replace(arm, protocol=replace(arm.protocol, shadows=6))


@pytest.mark.parametrize("engine", ["stacked", "opacus"])
def test_the_replicates_their_fit_and_their_numbers_stay(arm, shadowed, engine):
    arms = [replace(a, engine=engine, interventions=(DP,), evaluators=(ACCURACY, PRIVACY))
            for a in (arm, shadowed)]  # fmt: skip
    (plain, _), (more, _) = map(run, arms)
    assert plain.id != more.id
    assert plain.fit == more.fit
    key = evaluation_id(ACCURACY)
    assert plain.evaluations[key].measurements == more.evaluations[key].measurements
    a, b = (r.evaluations[evaluation_id(PRIVACY)] for r in (plain, more))
    assert (a.facts["shadows"], b.facts["shadows"]) == (2, 8)
    assert a.measurements["loss_auc"] == b.measurements["loss_auc"]
    assert a.measurements["lira_auc"].values != b.measurements["lira_auc"].values
    assert len(b.measurements["lira_auc"].values) == more.replicates == 4
    assert "at 8 shadows (n = 4" in next(said for _, said in audits(more))
    assert plain.arm.protocol.keys() | {"shadows"} == more.arm.protocol.keys()
    assert plain.privacy == more.privacy


def observed(arm):
    """What an attacker reads off the arm's replicates and shadows."""
    made, store = plan(arm), Store(arm.output_dir)
    system = deployed(made, store, ignore)
    return Observed.of(with_other_systems(system, made, {"shadows"}, store, ignore))


def test_shadows_are_the_models_that_more_replicates_would_be(arm, shadowed):
    shadows = plan(shadowed).shadows()
    many = plan(replace(arm, protocol=replace(arm.protocol, replicates=10)))
    assert plan(arm).shadows() is None
    np.testing.assert_array_equal(shadows.membership, many.membership[4:])
    np.testing.assert_array_equal(plan(shadowed).membership, many.membership[:4])
    a, b = (deployed(p, Store(arm.output_dir), ignore) for p in (shadows, many))
    np.testing.assert_array_equal(a.calibration, b.calibration[4:])
    X = b.tensor(b.problem.rows("test")[0])
    torch.testing.assert_close(a.logits(X), b.logits(X)[4:])
    seen = observed(shadowed)
    assert (len(seen.member), seen.targets) == (10, 4)
    odd = replace(arm, protocol=replace(arm.protocol, replicates=3, shadows=2))
    assert odd.protocol.models("shadows") == range(4, 6), "no half of a pair is drawn twice"


def test_shadows_are_trained_once_and_only_where_an_attack_asks(shadowed):
    run(shadowed)
    store = Store(shadowed.output_dir)
    folder = store.fit_dir(plan(shadowed).shadows().fit_id)
    assert not folder.exists()
    first, _ = run(replace(shadowed, evaluators=(ACCURACY, PRIVACY)))
    made = (folder / "fit.json").stat().st_mtime_ns
    shutil.rmtree(store.arm_dir(first.id))
    again, reused = run(replace(shadowed, evaluators=(ACCURACY, PRIVACY)))
    assert not reused
    assert (folder / "fit.json").stat().st_mtime_ns == made
    key = evaluation_id(PRIVACY)
    assert first.evaluations[key].measurements == again.evaluations[key].measurements


def test_each_arm_has_shadows_of_its_own_recipe(shadowed):
    store = Store(shadowed.output_dir)
    arms = [shadowed, replace(shadowed, control="reseed"), replace(shadowed, interventions=(DP,)),
            replace(shadowed, interventions=(DP,), control="matched")]  # fmt: skip
    plans = [plan(a).shadows() for a in arms]
    fits = [fit(p, store, ignore) for p in plans]
    for k, (p, made) in enumerate(zip(plans, fits, strict=True)):
        np.testing.assert_array_equal(p.membership, plans[0].membership)
        others = fits[:k] + fits[k + 1 :]
        assert all((made.params["1.weight"] != o.params["1.weight"]).any() for o in others)


def test_adversarial_examples_of_a_row_are_answered_by_the_shadows_too(arm, shadowed):
    adversarial = Chosen("adversarial_membership", AdversarialMembership(steps=2, radii=(0.1,)))
    a, b = (run(replace(x, evaluators=(adversarial,)))[0] for x in (arm, shadowed))
    few, many = (r.evaluations[evaluation_id(adversarial)] for r in (a, b))
    assert (few.facts["shadows"], many.facts["shadows"]) == (2, 8)
    for name, m in few.measurements.items():
        same = m.values == many.measurements[name].values
        assert same != name.startswith("lira_auc"), name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["protocol.shadows=3"], "protocol.shadows is 3; it should be a multiple of 2"),
        (["protocol.shadows=-2"], "protocol.shadows is -2; it should be greater than or equal"),
        (["protocol.shadows=4", "protocol.inclusion=all"], "shadows=4 needs inclusion=half"),
    ],
)
def test_impossible_shadows_are_one_sentence(given, said):
    with pytest.raises(ConfigError, match=said) as error:
        composed_arm(compose(given))
    assert len(error.value.problems) == 1


@pytest.mark.science
def test_with_more_shadows_lira_comes_closer_to_what_many_replicates_find(tmp_path):
    """Digits that memorise under DP-SGD: 14 shadows hide most of what leaks from online LiRA."""

    def value(replicates, shadows):
        overrides = ["dataset=digits", "training=memorising", "intervention=dpsgd"]
        overrides += [f"protocol.replicates={replicates}", f"protocol.shadows={shadows}"]
        arm = replace(composed_arm(compose(overrides)), output_dir=tmp_path)
        seen = observed(arm)
        return each(auc, seen.lira(online=True), seen.member[:replicates]).mean()

    few, more, many = value(16, 0), value(16, 32), value(64, 0)
    assert many - more < 0.6 * (many - few)
    assert few < more
