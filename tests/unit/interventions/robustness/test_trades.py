"""TRADES against the authors' loss and attack, written out per example in plain torch."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.unit.interventions.robustness.test_pgd_at import batch_of
from tests.unit.training.test_loop import ignore, trainer
from trustbench.config.arms import Chosen
from trustbench.contracts import Schedule
from trustbench.errors import Unsupported
from trustbench.execution.plan import refuse_impossible
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.robustness.pgd_at import PGDAdversarialTraining
from trustbench.interventions.robustness.trades import TRADES
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.divergence import START, divergence
from trustbench.methods.privacy.ledger import Setting
from trustbench.training import loop

R, B, C = 3, 6, 4
SCHEDULE = Schedule("memorising", epochs=1, batch_size=8, lr=0.1)


def trades_loss(natural, adversarial, y, beta, planted):
    """The loss lines of github.com/yaodongyu/TRADES for a batch of one."""
    if planted == "reversed":
        robust = nn.KLDivLoss(reduction="sum")(
            F.log_softmax(natural, dim=1), F.softmax(adversarial, dim=1)
        )
    else:
        target = F.softmax(natural.detach() if planted == "detached" else natural, dim=1)
        robust = nn.KLDivLoss(reduction="sum")(F.log_softmax(adversarial, dim=1), target)
    if planted == "attacked":
        natural = adversarial
    return F.cross_entropy(natural, y) + beta * robust


@pytest.mark.parametrize("planted", [None, "reversed", "detached", "attacked"])
def test_loss_and_gradient_are_the_authors(system, planted):
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(R, B, 2, C, generator=g, requires_grad=True)
    batch = batch_of(system, rows=B, replicates=R)
    batch.y = torch.randint(C, (R, B), generator=g)
    loss = TRADES(beta=2.5).objective(torch.full((R, B), 99.0), logits, batch)
    expected = torch.stack(
        [
            torch.stack(
                [
                    trades_loss(*logits[r, b].split(1), batch.y[r, b : b + 1], 2.5, planted)
                    for b in range(B)
                ]
            )
            for r in range(R)
        ]
    )
    (got,), (want,) = (torch.autograd.grad(x.sum(), logits) for x in (loss, expected))
    same = torch.allclose(loss, expected, atol=1e-5) and torch.allclose(got, want, atol=1e-5)
    assert same == (planted is None)


def authors_attack(forward, x, epsilon, step, steps, start, planted):
    """The attack lines of github.com/yaodongyu/TRADES (linf), without the box of pixels."""
    x_adv = x + start
    for _ in range(steps):
        x_adv.requires_grad_()
        pair = (F.log_softmax(forward(x_adv), -1), F.softmax(forward(x), -1))
        if planted == "cross entropy":
            loss = F.cross_entropy(forward(x_adv).flatten(0, 1), forward(x).argmax(-1).flatten())
        else:
            loss = nn.KLDivLoss(reduction="sum")(*pair)
        grad = torch.autograd.grad(loss, [x_adv])[0]
        x_adv = x_adv.detach() + step * torch.sign(grad.detach())
        if planted != "unprojected":
            x_adv = torch.min(torch.max(x_adv, x - epsilon), x + epsilon)
    return x_adv


@pytest.mark.parametrize("planted", [None, "unprojected", "cross entropy"])
def test_the_attack_is_the_authors(system, planted):
    batch = batch_of(system)
    clean = batch.X[:, :, 0]
    method = TRADES(epsilon=0.2, steps=5)
    views = method.perturb(batch, system.forward, system.problem)
    assert torch.equal(views[:, :, 0], clean)
    start = [
        START * torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(r))
        for r in range(4)
    ]
    expected = authors_attack(system.forward, clean, 0.2, 0.1, 5, torch.stack(start), planted)
    threat = ThreatModel.of(system.problem, "linf", 0.2, clean)
    expected = torch.maximum(torch.minimum(expected, threat.upper), threat.lower)
    agree = (views[:, :, 1] - expected).abs().flatten(2).amax(-1) < 1e-5
    assert (agree.double().mean() > 0.97) == (planted is None)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_attack_diverges_inside_the_ball_and_reads_no_label(system, norm):
    batch, other = batch_of(system), batch_of(system)
    other.y = 1 - other.y
    method = TRADES(norm=norm, epsilon=0.3)
    clean, attacked = method.perturb(batch, system.forward, system.problem).unbind(2)
    assert torch.equal(attacked, method.perturb(other, system.forward, system.problem)[:, :, 1])
    threat = ThreatModel.of(system.problem, norm, 0.3, clean)
    assert (threat.size(attacked - clean) <= 0.3 + 1e-5).all()
    generators = [torch.Generator().manual_seed(9 + r) for r in range(4)]
    control = threat.random_direction(clean, threat.size(attacked - clean), generators)
    forward = system.forward
    far, near = (divergence(forward(clean), forward(x)) for x in (attacked, control))
    # the divergence is flat at the clean input, so some points climb the lower side
    assert (far > near).double().mean() > 0.8
    assert far.mean() > 2 * near.mean()


def test_draws_depend_neither_on_padding_nor_on_other_replicates(system):
    method = TRADES(steps=2)
    full, padded = batch_of(system, rows=20), batch_of(system, rows=26, padding=6)
    a = method.perturb(full, system.forward, system.problem)
    b = method.perturb(padded, system.forward, system.problem)
    torch.testing.assert_close(a, b[:, :20])


def test_without_beta_it_is_plain_training(problem):
    plain, method = (
        loop.train(*trainer(problem, arm, replicates=2), ignore) for arm in ((), (TRADES(beta=0),))
    )
    for name, p in plain.params.items():
        torch.testing.assert_close(method.params[name], p, rtol=1e-4, atol=1e-5)


def test_engines_agree_beside_dpsgd(problem):
    arm, runs = (TRADES(steps=2), DPSGD(epsilon=5.0, epochs=2, batch_size=32)), []
    for engine in ("stacked", "opacus"):
        made, params = trainer(problem, arm, engine=engine, replicates=2)
        runs.append(loop.train(made, {n: p.double() for n, p in params.items()}, ignore))
    for name in runs[0].params:
        torch.testing.assert_close(runs[0].params[name], runs[1].params[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize("other", [PGDAdversarialTraining(), None])
def test_no_second_attack_is_chained(problem, other):
    arm = [Chosen("trades", TRADES())] + ([Chosen("pgd_at", other)] if other else [])
    planned = SimpleNamespace(
        arm=SimpleNamespace(interventions=tuple(arm), schedule=lambda members: SCHEDULE),
        problem=problem, schedule=SCHEDULE, members=8, rule=lambda: None, entries=(),
        setting=Setting(),
    )  # fmt: skip
    if other is None:
        refuse_impossible(planned)
        return
    with pytest.raises(Unsupported, match="both decide the `perturb` hook"):
        refuse_impossible(planned)
