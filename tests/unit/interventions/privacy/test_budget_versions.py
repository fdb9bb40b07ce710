"""An arm whose budget is calibrated to other noise than before is another arm."""

from dataclasses import replace

import pytest

from tests.unit.arm_toys import run
from trustbench.config.arms import Chosen
from trustbench.config.compose import compose, composed_arm
from trustbench.contracts import Intervention
from trustbench.execution.plan import plan
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.privacy.dpsgd_global import DPSGDGlobal
from trustbench.interventions.privacy.dpsgd_global_adapt import DPSGDGlobalAdapt
from trustbench.interventions.privacy.noise_only import NoiseOnly
from trustbench.methods.privacy.accounting import calibration_version, default_delta, noise_for
from trustbench.store.records import Store
from trustbench.summary.table.grouping import group_records

METHODS = [DPSGD, DPSGDGlobal, DPSGDGlobalAdapt, NoiseOnly]
# (epsilon, delta) -> (version, noise multiplier, that of version 1) for 400 members, 256 in a
# batch, 30 epochs. A number that moves in version 2 asks for a version 3.
NOISE = {
    (0.3, None): (2, 34.270505978529236, 34.569762656468356),
    (0.5, None): (2, 22.429160369880467, 22.429525295524332),
    (0.7, None): (1, 16.891090794317982, 16.891090794317982),
    (3.0, 1e-10): (1, 10.411850540901709, 10.411850540901709),
    (3.0, 1e-12): (2, 11.970080889777353, 11.536707965883506),
    (10.0, None): (1, 2.059526963277244, 2.059526963277244),
    (19.0, None): (2, 1.331221795860172, 1.3311897057233657),
    (25.0, None): (2, 1.11734607582828, 1.190072185013692),
}


@pytest.mark.parametrize("budget", NOISE)
def test_noise_moves_with_its_version_and_never_without(budget):
    (epsilon, delta), (version, sigma, before) = budget, NOISE[budget]
    found = noise_for(epsilon, 256 / 400, 60, delta or default_delta(400))
    assert calibration_version(epsilon, delta) == version
    assert found == pytest.approx(sigma, rel=1e-6)
    assert (found == pytest.approx(before, rel=1e-6)) == (version == 1)


@pytest.mark.parametrize("method", METHODS)
def test_the_version_of_an_arm_is_that_of_its_noise(method):
    stated = [
        Chosen("x", method(epsilon=e, delta=d)).spec().version
        for e, d in ((3.0, None), (0.3, None), (25.0, None), (3.0, 1e-12))
    ]
    assert stated == [method.version, *[method.version + 1] * 3]
    given = method(epsilon=None, noise_multiplier=2.0, delta=1e-12)
    assert Chosen("x", given).spec().version == method.version


def test_a_record_of_other_noise_is_not_reused_and_not_read(arm, monkeypatch):
    private = replace(arm, interventions=(Chosen("dpsgd", DPSGD(epsilon=25.0, batch_size=32)),))
    with monkeypatch.context() as before:
        before.setattr(DPSGD, "version_of_settings", Intervention.version_of_settings)
        old, _ = run(private)
    new, reused = run(private)
    assert not reused
    assert (new.id != old.id, new.fit != old.fit) == (True, True)
    assert [r.arm.interventions[0].version for r in (old, new)] == [1, 2]
    [group] = group_records(list(Store(arm.output_dir).records()))
    [read] = [a for a in group.arms if a.interventions]
    assert read.ids == (new.id,)
    usual = replace(arm, interventions=(Chosen("dpsgd", DPSGD(epsilon=3.0, batch_size=32)),))
    with monkeypatch.context() as before:
        before.setattr(DPSGD, "version_of_settings", Intervention.version_of_settings)
        kept = plan(usual).arm_id
    assert plan(usual).arm_id == kept, "the arms of usual budgets keep their records"


def test_five_deployed_members_on_digits_spend_more_than_one():
    """The issue's arm: one model declared 2.985, and the deployed five spend 8.32."""
    chosen = ["dataset=digits", "model=mlp"]
    one = plan(composed_arm(compose([*chosen, "intervention=dpsgd"])))
    five = plan(composed_arm(compose([*chosen, "intervention=[dpsgd,deep_ensemble]"])))
    [alone], [whole] = one.guarantees, five.guarantees
    assert alone.epsilon == pytest.approx(2.985, abs=0.001)
    assert whole.epsilon == pytest.approx(8.324, abs=0.001)
    assert whole.delta == alone.delta
    assert "composed of dpsgd (5 x 60 noisy sums)" in whole.line()
