"""Seeded privacy noise repeats, the system's does not; both have the right law and are declared."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from trustbench.config.arms import Chosen
from trustbench.contracts import Schedule
from trustbench.contracts.seeding import Streams, system_normals, uniforms
from trustbench.interventions.explainability.saliency import SaliencyRelease
from trustbench.interventions.privacy.dp_explanations import PrivateExplanations
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.privacy.dpsgd_global import DPSGDGlobal
from trustbench.interventions.privacy.dpsgd_global_adapt import DPSGDGlobalAdapt
from trustbench.interventions.privacy.noise_only import NoiseOnly
from trustbench.interventions.privacy.private_conformal import PrivateSets
from trustbench.methods.explanations.private_release import Mechanism

SCHEDULE = Schedule(regime="tuned", epochs=2, batch_size=32, lr=0.1)
RULES = [DPSGD, DPSGDGlobal, DPSGDGlobalAdapt, NoiseOnly]
DEPLOYED = [PrivateExplanations, PrivateSets]


def update(method, seed=0):
    """One noisy update of two replicates, from an all-zero sum of gradients."""
    rule = method.gradient(SCHEDULE, 200)
    generators = [Streams(seed).torch("dp_noise", r, 0) for r in range(2)]
    rule.coefficients(torch.zeros(2, 8), slice(None))
    return rule.update({"w": torch.zeros(2, 500, dtype=torch.float64)}, generators)["w"]


@pytest.mark.parametrize("cls", RULES, ids=lambda c: c.__name__)
def test_only_seeded_noise_of_training_repeats(cls):
    seeded, system = (cls(epochs=2, noise=n) for n in ("seeded", "system"))
    assert torch.equal(update(seeded), update(seeded))
    assert not torch.equal(update(system), update(system))
    found, rule = update(system), system.gradient(SCHEDULE, 200)
    scaled = found * rule.expected_batch / (rule.sigma * rule.bound)
    assert stats.kstest(scaled.flatten().numpy(), "norm").pvalue > 1e-6
    assert abs(float(np.corrcoef(scaled.numpy())[0, 1])) < 0.25, "replicates draw their own"
    assert [m.gradient(SCHEDULE, 200).facts()["dp_noise"] for m in (seeded, system)] == [
        "seeded",
        "system",
    ]


def test_the_adaptive_threshold_follows_unrepeatable_counts():
    def moved(noise):
        rule = DPSGDGlobalAdapt(epochs=2, noise=noise).gradient(SCHEDULE, 200)
        rule.coefficients(torch.zeros(2, 8), slice(None))
        generators = [Streams(0).torch("dp_noise", r, 0) for r in range(2)]
        rule.update({"w": torch.zeros(2, 5)}, generators)
        return rule.state["Z"]

    assert torch.equal(moved("seeded"), moved("seeded"))
    assert not torch.equal(moved("system"), moved("system"))


@pytest.fixture(scope="module")
def explained(system):
    return SaliencyRelease(target="margin").deploy(system)


@pytest.mark.parametrize("mechanism", ["gaussian", "laplace"])
def test_only_seeded_noise_on_explanations_repeats(explained, mechanism):
    rows = torch.as_tensor(explained.problem.rows("test")[0][:20])

    def released(noise):
        return PrivateExplanations(mechanism, epsilon=2.0, noise=noise).deploy(explained)

    assert torch.equal(released("seeded").explain(rows), released("seeded").explain(rows))
    one, other = released("system"), released("system")
    found = one.explain(rows)
    assert not torch.equal(found, other.explain(rows)), "another deployment has another key"
    assert torch.equal(found, one.explain(rows)), "an answer is remembered"
    torch.testing.assert_close(found[:, 3:5], one.explain(rows[3:5]))
    assert not torch.equal(found, one.explain(rows, 1))


@pytest.mark.parametrize(("name", "law"), [("gaussian", stats.norm), ("laplace", stats.laplace)])
def test_keyed_noise_follows_its_law(name, law):
    noisy = Mechanism(name, epsilon=1.0, delta=1e-5, bound=0.5)
    rows = np.random.default_rng(0).normal(size=(2, 600, 5))
    noise = noisy.noise(rows, b"k" * 32) / noisy.scale
    assert stats.kstest(noise.ravel(), law.cdf).pvalue > 0.001
    assert np.array_equal(noise, noisy.noise(rows, b"k" * 32) / noisy.scale)
    assert not np.isclose(noise[0], noise[1]).any(), "replicates are asked apart"


def test_only_seeded_thresholds_repeat(system):
    def thresholds(noise):
        private = PrivateSets(epsilon=32.0, scores=("aps",), noise=noise)
        X, _, group = system.problem.rows("test")
        return private.deploy(system).sets(system.tensor(X), "aps", group).sum((1, 2)).tolist()

    assert thresholds("seeded") == thresholds("seeded")
    # thresholds are bins: at this epsilon the likeliest answer has a chance of about .1
    assert len({tuple(thresholds("system")) for _ in range(12)}) > 1


@pytest.mark.parametrize("cls", DEPLOYED, ids=lambda c: c.__name__)
def test_one_seeded_method_makes_the_whole_arm_seeded(explained, cls):
    def fact(before, noise):
        facts = {**explained.facts, **({"dp_noise": before} if before else {})}
        return cls(noise=noise).deploy(replace(explained, facts=facts)).facts["dp_noise"]

    assert fact(None, "system") == "system"
    assert fact(None, "seeded") == "seeded"
    assert fact("seeded", "system") == "seeded"
    assert fact("system", "seeded") == "seeded"
    assert fact("system", "system") == "system"


@pytest.mark.parametrize("cls", [*RULES, *DEPLOYED], ids=lambda c: c.__name__)
def test_the_source_is_part_of_the_identity(cls):
    assert Chosen("x", cls()).spec().params["noise"] == "seeded"
    assert Chosen("x", cls(noise="system")).spec().params["noise"] == "system"


def test_uniforms_stay_inside_their_interval():
    assert 0 < uniforms(bytes(8))[0] < 1e-15
    assert 1 - 1e-15 < uniforms(b"\xff" * 8)[0] < 1
    assert np.isfinite(system_normals(1000)).all()
