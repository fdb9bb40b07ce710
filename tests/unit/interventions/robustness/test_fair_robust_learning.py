"""Fair robust learning against the authors' update and loss, and what it does to weak classes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.unit.interventions.robustness.test_pgd_at import batch_of
from tests.unit.training.test_loop import CPU, assert_same, ignore, trainer
from trustbench.interventions.robustness.fair_robust_learning import (
    FairRobustLearning,
    excess,
    onto_simplex,
    weights,
)
from trustbench.interventions.robustness.trades import TRADES
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.training import fits, loop

FRL = FairRobustLearning(epsilon=0.3, steps=3)
K = 5


def validation_of(system, rows=80):
    batch = batch_of(system, rows=rows)
    batch.rows, batch.validation = torch.full_like(batch.rows, -1), True
    return batch


def adapted(method, system, times=2):
    memory = {}
    for _ in range(times):
        method.adapt(memory, validation_of(system), system.forward, system.problem)
    return memory


# --- the authors' code: github.com/hannxu123/fair_robust, utils_frl2.py ---


def authors_excess(wrong, labels):
    per_class = np.array([wrong[labels == c].mean() for c in range(K)])
    return per_class - wrong.mean()


def authors_normalised(lam, lim=0.5):
    lam = np.clip(lam, 0, None)
    return lim * lam / lam.sum() if lam.sum() > lim else lam


def authors_weights(lam, planted=None):
    diff = np.ones(K) / K
    for i in range(K):
        for j in range(K):
            if j == i:
                diff[i] += (1 if planted else (K - 1) / K) * lam[i]
            else:
                diff[i] -= 1 / K * lam[j]
    return diff


def test_the_excess_error_of_each_class_is_the_authors():
    rng = np.random.default_rng(0)
    labels, wrong = rng.integers(K, size=90), (rng.random(90) < 0.3).astype(float)
    got = excess(torch.tensor(wrong)[None], torch.tensor(labels)[None], K)[0]
    np.testing.assert_allclose(got, authors_excess(wrong, labels), atol=1e-12)
    empty = excess(torch.tensor(wrong)[None], torch.tensor(labels)[None], K + 1)[0]
    assert empty[K] == 0, "a class without validation rows stays as it is"


@pytest.mark.parametrize("planted", [None, "own share"])
@pytest.mark.parametrize("size", [0.1, 2.0])
def test_multipliers_and_weights_are_the_authors(size, planted):
    lam = np.random.default_rng(1).normal(size=K) * size
    expected = authors_normalised(lam)
    kept = onto_simplex(torch.tensor(lam)[None])
    np.testing.assert_allclose(kept[0], expected)
    assert kept.sum() <= 0.5 + 1e-12
    even = torch.full((K,), 1 / K, dtype=torch.float64)
    got = weights(kept, even)[0]  # mean 1; theirs sum to 1
    assert (got > 0).all()
    same = np.allclose(got, K * authors_weights(expected, planted))
    assert same == (planted is None)


def test_weights_have_mean_one_over_the_pool():
    share = torch.tensor([0.5, 0.3, 0.1, 0.05, 0.05])
    made = weights(onto_simplex(torch.rand(3, K)), share)
    torch.testing.assert_close((made * share).sum(1), torch.ones(3))


@pytest.mark.parametrize("planted", [None, "swapped", "unweighted"])
def test_the_loss_is_the_authors(system, planted):
    """Their batch loss is normalised by the batch's weights; on an even one ours by the pool's."""
    g = torch.Generator().manual_seed(0)
    y = torch.arange(K).repeat(4)
    logits = torch.randn(1, len(y), 2, K, generator=g)
    natural, boundary = (torch.rand(1, K, generator=g) for _ in range(2))
    natural, boundary = natural / natural.mean(), boundary / boundary.mean()
    batch = batch_of(system, rows=len(y), replicates=1)
    batch.y = y[None]
    batch.memory = {"weight_natural": natural, "weight_boundary": boundary}
    method = replace(FRL, beta=1.7, reweight=planted != "unweighted")
    got = method.objective(torch.zeros(1, len(y)), logits, batch).mean()
    w0, w1 = natural[0, y], boundary[0, y]
    if planted == "swapped":
        w0, w1 = w1, w0
    clean, adv = logits[0].unbind(1)
    ce = F.cross_entropy(clean, y, reduction="none")
    kl = F.kl_div(F.log_softmax(adv, 1), F.softmax(clean, 1), reduction="none").sum(1)
    expected = (ce * w0).sum() / w0.sum() + 1.7 * (kl * w1).sum() / w1.sum()
    assert torch.isclose(got, expected, rtol=1e-5) == (planted is None)


# --- the adapt hook ---


def test_before_the_first_epoch_all_classes_are_alike(multiclass_system):
    memory = adapted(FRL, multiclass_system, times=1)
    assert all(v.shape == (4, K) for v in memory.values())
    assert (memory["natural"] == 0).all()
    torch.testing.assert_close(memory["weight_natural"], torch.ones(4, K))
    assert (memory["radius"] == 1).all()


def test_a_class_that_lags_gains_weight_and_radius(multiclass_system):
    """A forward that is always wrong on class 2, and flips under attack on class 1."""
    system = multiclass_system
    y = validation_of(system).y[0]
    lagging = 2

    def forward(X):
        logits = 8 * F.one_hot(y, K).float().expand(X.shape[0], -1, -1)
        logits = torch.where((y == lagging)[None, :, None], -logits, logits)
        weak = (y == 1)[None, :, None] * (torch.arange(K) == 1) * 100.0
        return (
            logits - weak * (X - clean).abs().amax(-1, keepdim=True) + 0 * X.sum(-1, keepdim=True)
        )

    clean = validation_of(system).X[:, :, 0]
    memory = {}
    method = replace(FRL, tau_natural=0.05, tau_boundary=0.05)
    for _ in range(4):
        method.adapt(memory, validation_of(system), forward, system.problem)
    assert (memory["weight_natural"].argmax(1) == lagging).all()
    assert (memory["weight_boundary"].argmax(1) == 1).all()
    assert (memory["radius"].argmax(1) == 1).all()
    assert (memory["radius"] >= 0.98).all()
    assert (memory["radius"] <= 3.0).all()
    share_1, share_2 = ((y == c).double().mean() for c in (1, 2))
    per_epoch = 0.05 * (1 - share_2 - 0.05)
    assert float(memory["natural"][0, 2]) == pytest.approx(3 * float(per_epoch), rel=1e-5)
    per_epoch = 0.2 * (1 - share_1 - 0.05)
    assert float(memory["margin"][0, 1]) == pytest.approx(3 * float(per_epoch), rel=1e-5)


def test_a_class_is_attacked_at_its_own_radius(multiclass_system):
    system = multiclass_system
    memory = adapted(FRL, system)
    memory["radius"] = torch.tensor([[0.98, 1.0, 1.5, 2.0, 3.0]]).expand(4, -1)
    batch = batch_of(system, rows=60)
    batch.memory = memory
    clean, attacked = FRL.perturb(batch, system.forward, system.problem).unbind(2)
    threat = ThreatModel.of(system.problem, "linf", 0.3, clean)
    size = threat.size(attacked - clean)
    allowed = 0.3 * memory["radius"].gather(1, batch.y)
    assert (size <= allowed + 1e-5).all()
    assert (size > 0.97 * allowed).double().mean() > 0.9
    assert ((attacked >= threat.lower) & (attacked <= threat.upper)).all()
    same = replace(FRL, remargin=False)
    assert (adapted(same, system)["radius"] == 1).all()


def test_validation_compares_epochs_by_one_yardstick(multiclass_system):
    """For all multipliers, every class has the same say, at the nominal radius."""
    system, losses = multiclass_system, []
    for value in (1.0, 3.0):
        batch = validation_of(system)
        batch.memory = {
            "radius": torch.full((4, K), value),
            "weight_natural": torch.rand(4, K),
            "weight_boundary": torch.rand(4, K),
        }
        views = FRL.perturb(batch, system.forward, system.problem)
        logits = system.forward(views.flatten(1, 2)).unflatten(1, views.shape[1:3])
        losses.append(FRL.objective(torch.zeros(4, 80), logits, batch))
    assert torch.equal(*losses)
    plain = TRADES(beta=FRL.beta).objective(torch.zeros(4, 80), logits, batch)
    by_class = [plain[:, batch.y[0] == c].mean(1) for c in range(K)]
    torch.testing.assert_close(losses[0].mean(1), torch.stack(by_class).mean(0))


def test_groups_can_stand_in_for_classes(system):
    memory = adapted(replace(FRL, by="group"), system)
    assert memory["radius"].shape == (4, len(system.problem.groups))


def test_without_both_parts_it_is_trades(problem):
    neither = FairRobustLearning(epsilon=0.2, steps=2, reweight=False, remargin=False)
    trades = TRADES(epsilon=0.2, steps=2, beta=1.5)
    one, other = (
        loop.train(*trainer(problem, (m,), replicates=2, patience=99), ignore)
        for m in (neither, trades)
    )
    assert_same(one.params, other.params)


def test_a_killed_training_goes_on_to_the_same_bits(problem, tmp_path):
    method = replace(FRL, tau_natural=0.0, tau_boundary=0.0)
    whole = loop.train(*trainer(problem, (method,), replicates=2), ignore)
    assert (whole.memory[0]["natural"] > 0).any()

    class Killed(Exception):
        pass

    def kill(epoch, _):
        if epoch == 3:
            raise Killed

    made, params = trainer(problem, (method,), replicates=2)
    with pytest.raises(Killed):
        loop.train(
            made, params, kill,
            checkpoint=lambda s: fits.write_checkpoint(tmp_path, s), checkpoint_s=0.0,
        )  # fmt: skip
    made, params = trainer(problem, (method,), replicates=2)
    resumed = loop.train(made, params, ignore, resume=fits.read_checkpoint(tmp_path, CPU))
    assert_same(resumed.params, whole.params)
    assert_same(resumed.memory[0], whole.memory[0])
