"""Fast adversarial training against the published lines, in plain torch."""

import pytest
import torch
import torch.nn.functional as F

from tests.unit.interventions.robustness.test_pgd_at import batch_of
from trustbench.interventions.robustness.fgsm_rs import FGSMRandomStart
from trustbench.methods.attacks.evasion.box import ThreatModel


def fast(forward, X, y, epsilon, alpha, uniform, planted):
    """Wong et al. 2020, Algorithm 3, of one replicate; `uniform` in [0, 1)."""
    delta = epsilon * (2 * uniform - 1)
    if planted == "from the clean input":
        delta = torch.zeros_like(delta)
    delta.requires_grad_()
    F.cross_entropy(forward(X + delta), y).backward()
    step = epsilon if planted == "step of epsilon" else alpha
    moved = delta.detach() + step * torch.sign(delta.grad)
    if planted == "unprojected":
        return X + moved
    return X + torch.clamp(moved, -epsilon, epsilon)


PLANTED = ["from the clean input", "step of epsilon", "unprojected"]


@pytest.mark.parametrize("planted", [None, *PLANTED])
def test_inputs_are_those_of_the_algorithm(system, planted):
    batch = batch_of(system)
    out = FGSMRandomStart(epsilon=0.2).perturb(batch, system.forward, system.problem)[:, :, 0]
    clean = batch.X[:, :, 0]
    expected = torch.stack(
        [
            fast(
                lambda x, r=r: system.forward(x.expand(4, *x.shape))[r],
                clean[r],
                batch.y[r],
                0.2,
                0.25,
                torch.rand(clean.shape[1:], generator=torch.Generator().manual_seed(r)),
                planted,
            )
            for r in range(4)
        ]
    )
    inside = ((expected >= clean.amin((0, 1))) & (expected <= clean.amax((0, 1)))).all(-1)
    agree = (out - expected).abs().amax(-1) < 1e-5
    assert inside.double().mean() > 0.5, "enough rows whose bounds play no part"
    assert (agree[inside].double().mean() > 0.97) == (planted is None)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("views", [1, 3])
def test_inputs_are_worse_and_stay_inside(system, norm, views):
    batch = batch_of(system, views=views)
    out = FGSMRandomStart(norm=norm, epsilon=0.3).perturb(batch, system.forward, system.problem)
    assert out.shape == batch.X.shape
    threat = ThreatModel.of(system.problem, norm, 0.3, batch.X)
    assert (threat.size(out - batch.X) <= 0.3 + 1e-5).all()
    assert ((out >= threat.lower) & (out <= threat.upper)).all()
    y = batch.y.repeat_interleave(views, dim=1)
    clean, attacked = (
        F.cross_entropy(
            system.forward(x.flatten(1, 2)).flatten(0, 1), y.flatten(), reduction="none"
        )
        for x in (batch.X, out)
    )
    assert (attacked > clean).double().mean() > 0.9


def test_draws_do_not_depend_on_padding(system):
    full, padded = batch_of(system, rows=20), batch_of(system, rows=26, padding=6)
    a, b = (FGSMRandomStart().perturb(x, system.forward, system.problem) for x in (full, padded))
    torch.testing.assert_close(a, b[:, :20])
