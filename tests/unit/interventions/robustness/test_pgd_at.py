"""Adversarial training inputs: inside the threat model, worse than clean, and reproducible."""

import dataclasses

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from tests.conftest import make_problem
from trustbench.contracts import Batch, Schedule
from trustbench.interventions.robustness.pgd_at import PGDAdversarialTraining
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.pgd import cross_entropy

SCHEDULE = Schedule("tuned", epochs=1, batch_size=8, lr=0.1)


def batch_of(system, rows=24, views=1, padding=0, replicates=None, seed=0):
    X, y, group = system.problem.rows("train")
    R = replicates or system.replicates
    X = torch.as_tensor(X[:rows]).expand(R, rows, -1).unsqueeze(2).repeat(1, 1, views, 1)
    weight = torch.ones(R, rows)
    if padding:
        weight[:, -padding:] = 0.0
    return Batch(
        X=X,
        y=torch.as_tensor(y[:rows]).expand(R, rows),
        group=torch.as_tensor(group[:rows]).expand(R, rows),
        weight=weight,
        rows=torch.arange(rows).expand(R, rows),
        generators=[torch.Generator().manual_seed(seed + r) for r in range(R)],
    )


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("views", [1, 3])
def test_inputs_are_worse_and_stay_inside(system, norm, views):
    batch = batch_of(system, views=views)
    method = PGDAdversarialTraining(norm=norm, epsilon=0.3)
    adv = method.perturb(batch, system.forward, system.problem)
    assert adv.shape == batch.X.shape
    assert not adv.requires_grad
    threat = ThreatModel.of(system.problem, norm, 0.3, batch.X)
    assert (threat.size(adv - batch.X) <= 0.3 + 1e-5).all()
    assert ((adv >= threat.lower) & (adv <= threat.upper)).all()
    y = batch.y.repeat_interleave(views, dim=1)
    clean, attacked = (cross_entropy(system.forward(x.flatten(1, 2)), y) for x in (batch.X, adv))
    assert (attacked > clean).double().mean() > 0.95


def test_immutable_columns_never_move(system):
    features = tuple(
        dataclasses.replace(f, mutable=f.name != "x1") for f in system.problem.features
    )
    problem = dataclasses.replace(system.problem, features=features)
    batch = batch_of(system)
    adv = PGDAdversarialTraining().perturb(batch, system.forward, problem)
    assert torch.equal(adv[..., 1], batch.X[..., 1])
    assert (adv[..., 0] != batch.X[..., 0]).any()


def test_draws_depend_neither_on_padding_nor_on_other_replicates(system):
    method = PGDAdversarialTraining()
    full = batch_of(system, rows=20)
    padded = batch_of(system, rows=26, padding=6)
    alone = batch_of(system, rows=20, replicates=1)
    a = method.perturb(full, system.forward, system.problem)
    b = method.perturb(padded, system.forward, system.problem)
    c = method.perturb(alone, lambda x: system.forward(x.expand(4, -1, -1))[:1], system.problem)
    torch.testing.assert_close(a, b[:, :20])
    torch.testing.assert_close(a[:1], c)
    # and the next batch starts from the same place in the streams
    states = [g.get_state() for g in full.generators]
    assert all(
        torch.equal(s, g.get_state()) for s, g in zip(states, padded.generators, strict=True)
    )


def test_without_random_start_no_number_is_drawn(system):
    batch = batch_of(system)
    before = [g.get_state() for g in batch.generators]
    PGDAdversarialTraining(random_start=False).perturb(batch, system.forward, system.problem)
    assert all(torch.equal(s, g.get_state()) for s, g in zip(before, batch.generators, strict=True))


def test_training_on_the_inputs_buys_robust_accuracy():
    """The hook in a plain loop: adversarially trained replicates resist PGD better."""
    from trustbench.methods.attacks.evasion.pgd import pgd

    problem = make_problem(n=600, d=12, shift=0.4)
    X, y, _ = problem.rows("train")
    method = PGDAdversarialTraining(epsilon=0.3)
    robust = {}
    for attacked in (False, True):
        g = torch.Generator().manual_seed(0)
        W1, W2 = (torch.randn(1, a, b, generator=g) / 4 for a, b in ((12, 32), (32, 2)))
        params = [W1.requires_grad_(), W2.requires_grad_()]

        def forward(x, params=params):
            return torch.bmm(torch.bmm(x, params[0]).tanh(), params[1])

        optimiser = torch.optim.Adam(params, lr=0.02)
        data = torch.as_tensor(X)[None, :, None]
        target = torch.as_tensor(y)[None]
        for _ in range(100):
            batch = Batch(data, target, target, torch.ones(1, len(y)), target, [g])
            inputs = method.perturb(batch, forward, problem) if attacked else data
            optimiser.zero_grad()
            cross_entropy(forward(inputs.flatten(1, 2)), target).mean().backward()
            optimiser.step()
        Xt, yt, _ = problem.rows("test")
        threat = ThreatModel.of(problem, "linf", 0.3, data)
        run = pgd(
            forward, torch.as_tensor(Xt)[None], torch.as_tensor(yt), threat,
            [torch.Generator().manual_seed(1)], steps=20, loss="margin",
        )  # fmt: skip
        robust[attacked] = 1 - run.fooled.double().mean().item()
    assert robust[True] > robust[False] + 0.05


def test_attacking_a_batch_leaves_no_gradient_behind(system):
    weight = torch.randn(4, 6, 2, requires_grad=True)
    PGDAdversarialTraining().perturb(
        batch_of(system), lambda x: torch.bmm(x, weight), system.problem
    )
    assert weight.grad is None


def test_supports_names_what_is_lacking(system):
    assert PGDAdversarialTraining().supports(system.problem, SCHEDULE) is None
    features = tuple(dataclasses.replace(f, mutable=False) for f in system.problem.features)
    frozen = dataclasses.replace(system.problem, features=features)
    reason = PGDAdversarialTraining().supports(frozen, SCHEDULE)
    assert reason is not None
    assert "no column of toy may be perturbed" in reason


def test_ranges_are_checked():
    adapter = TypeAdapter(PGDAdversarialTraining)
    assert adapter.validate_python({"epsilon": 0.2}).epsilon == 0.2
    for bad in ({"epsilon": 0.0}, {"steps": 0}, {"norm": "l1"}):
        with pytest.raises(ValidationError):
            adapter.validate_python(bad)
