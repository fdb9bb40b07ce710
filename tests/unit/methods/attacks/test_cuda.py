"""The attacks on a CUDA device: same shapes, same invariants, numbers near those of the CPU."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.contracts import Batch
from trustbench.evaluators.privacy.privacy import Privacy
from trustbench.evaluators.robustness.explanation_attack import ExplanationAttack
from trustbench.evaluators.robustness.robustness import Robustness
from trustbench.evaluators.robustness.set_attack import SetAttack
from trustbench.interventions.robustness.pgd_at import PGDAdversarialTraining
from trustbench.methods.attacks.evasion.box import ThreatModel

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(scope="module")
def pair():
    """The same replicates on the CPU and on the GPU."""
    cpu = make_system(make_problem())
    device = torch.device("cuda")

    def forward(x):
        return cpu.forward(x.cpu()).to(device)

    gpu = dataclasses.replace(
        cpu,
        forward=forward,
        device=device,
        baseline=lambda: gpu,
        explainer=lambda X, repeat: X.flatten(2) ** 2,
        set_predictors={"lac": lambda X, group: forward(X).softmax(-1) > 0.2},
    )
    return cpu, gpu


def values(evaluator, system):
    return {m.name: m.values for m in evaluator.measure(system).measurements}


def test_evaluators_agree_with_the_cpu(pair):
    cpu, gpu = pair
    privacy = [values(Privacy(), s) for s in (cpu, gpu)]
    for name, value in privacy[0].items():
        np.testing.assert_allclose(privacy[1][name], value, atol=1e-3)
    quick = Robustness(steps=10, queries=50, points=100, epsilon=0.3)
    ours, theirs = (values(quick, s) for s in (cpu, gpu))
    for name in ("acc", "racc", "racc_pgd", "racc_half", "racc_double"):
        assert np.abs(ours[name] - theirs[name]).max() <= 0.01, name  # the same random starts


def test_attacks_on_released_channels_run(pair):
    _, gpu = pair
    found = values(ExplanationAttack(top_k=2, points=20), gpu)
    assert (found["overlap_attack"] <= 1).all()
    found = values(SetAttack(points=50, steps=5, epsilon=0.3), gpu)
    assert (found["coverage_attacked_lac"] <= found["coverage_clean_lac"]).all()


def test_training_inputs_stay_in_the_ball(pair):
    _, gpu = pair
    X, y, group = (torch.as_tensor(a[:16], device="cuda") for a in gpu.problem.rows("train"))
    batch = Batch(
        X=X.expand(4, 16, -1).unsqueeze(2),
        y=y.expand(4, 16),
        group=group.expand(4, 16),
        weight=torch.ones(4, 16, device="cuda"),
        rows=torch.arange(16, device="cuda").expand(4, 16),
        generators=[torch.Generator().manual_seed(r) for r in range(4)],
    )
    adv = PGDAdversarialTraining(epsilon=0.2).perturb(batch, gpu.forward, gpu.problem)
    threat = ThreatModel.of(gpu.problem, "linf", 0.2, X)
    assert adv.device.type == "cuda"
    assert (threat.size(adv - batch.X) <= 0.2 + 1e-4).all()
