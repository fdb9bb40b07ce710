"""Rejection at a stated rate, and an attack on model and guard whose answer is known."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from tests.unit.training.test_loop import SCHEDULE
from trustbench.contracts import ABSTAIN, Affine, Chain
from trustbench.errors import Unsupported
from trustbench.evaluators.robustness.guarded_robustness import GuardedRobustness
from trustbench.interventions.robustness.input_guard import InputGuard, _distance
from trustbench.interventions.uncertainty.selective_prediction import SelectivePrediction
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.guarded import selective_pgd
from trustbench.methods.attacks.evasion.pgd import pgd
from trustbench.methods.conformal.quantiles import rank

GUARDS = [InputGuard("squeezing"), InputGuard("softmax"), SelectivePrediction()]


def decisions(system, X=None):
    rows, _, group = system.problem.rows("test")
    return system.decide(system.tensor(rows if X is None else X), group)


def test_a_guard_that_rejects_nothing_changes_nothing(system):
    for guard in (InputGuard(false_rejection=0.0), SelectivePrediction(coverage=1.0)):
        assert guard.deploy(system) is system


@pytest.mark.parametrize("guard", GUARDS, ids=repr)
def test_the_stated_share_of_calibration_rows_is_rejected_and_the_rest_decided_as_before(
    guard, system
):
    rate = getattr(guard, "false_rejection", None) or 1 - guard.coverage
    guarded = guard.deploy(system)
    n = system.calibration.shape[1]
    # planted: k = floor(n (1 - rate)) or `>=` in place of `>` rejects one row more
    beyond = guarded.rejection(system.tensor(system.problem.X[system.calibration]))
    assert (beyond > 0).sum(1).tolist() == [n - rank(n, rate)] * system.replicates
    kept = decisions(guarded)
    assert 0 < (kept == ABSTAIN).double().mean() < 3 * rate
    assert (kept == decisions(system))[kept != ABSTAIN].all()


def test_selective_prediction_rejects_the_least_confident(system):
    p = system.split_logits("test").softmax(-1).amax(-1)
    out = decisions(SelectivePrediction().deploy(system)) == ABSTAIN
    for sure, left in zip(p, out, strict=True):
        assert sure[left].max() < sure[~left].min()


def test_two_guards_reject_what_either_rejects(system):
    both = SelectivePrediction().deploy(InputGuard().deploy(system))
    alone = [decisions(g.deploy(system)) == ABSTAIN for g in (InputGuard(), SelectivePrediction())]
    assert ((decisions(both) == ABSTAIN) == (alone[0] | alone[1])).all()
    X = system.tensor(system.problem.rows("test")[0])
    assert ((both.rejection(X) > 0) == (decisions(both) == ABSTAIN)).all()


def test_the_distance_needs_a_chain(system):
    with pytest.raises(Unsupported, match="not a chain of layers"):
        InputGuard("distance").deploy(dataclasses.replace(system, parameters=None))


def test_the_distance_is_that_of_scikit_learns_shared_covariance(system):
    """The features are the inputs, so that the oracle needs no network.

    Planted: the means of the whole pool in place of the members' differ by more than 1 %.
    """
    rng = torch.Generator().manual_seed(0)
    last = Affine(torch.randn(system.replicates, 2, system.problem.n_features, generator=rng))

    def forward(X):
        return last(X.expand(system.replicates, *X.shape[-2:]))

    chained = dataclasses.replace(system, forward=forward, parameters=Chain((last,), forward))
    X, y, _ = system.problem.rows("train")
    rows = system.problem.rows("test")[0]
    found = _distance(chained)(system.tensor(rows)).numpy()
    for own, distances in zip(system.membership, found, strict=True):
        fit = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True)
        fit.fit(X[own].astype(float), y[own])
        away = rows.astype(float)[:, None] - fit.means_
        expected = np.einsum("ncd,de,nce->nc", away, np.linalg.inv(fit.covariance_), away).min(1)
        np.testing.assert_allclose(distances, expected, rtol=1e-2)
    assert len(InputGuard("distance").declares(system.problem, SCHEDULE, 1)) == 2
    assert (decisions(InputGuard("distance").deploy(chained)) == ABSTAIN).any()


def test_the_attacker_who_knows_the_guard_finds_what_the_algebra_says_and_the_other_does_not():
    """Label 1 at (a, 0), radius 0.1: x0 falls by 0.1 and x1 by the 0.05 that the guard allows.

    So a point falls, and passes, for a < 0.15. Planted: plain PGD on the margin moves x1 by 0.1 as
    well, is rejected everywhere, and finds nothing.
    """
    a = torch.tensor([0.02, 0.08, 0.14, 0.16, 0.3])
    X = torch.stack([a, torch.zeros(5)], -1)[None]
    ones, wide = torch.ones(2), torch.full((2,), 5.0)
    threat = ThreatModel("linf", 0.1, ones, -wide, wide)

    def forward(X):
        z = X.sum(-1)
        return torch.stack([torch.zeros_like(z), z], -1)

    def rejection(X):
        return X[..., 1].abs() - 0.05

    y, coins = torch.ones(5, dtype=torch.int64), lambda: [torch.Generator().manual_seed(0)]
    known = selective_pgd(forward, X, y, threat, coins(), rejection=rejection, steps=200)
    assert known.fooled[0].tolist() == [True, True, True, False, False]
    assert (threat.size(known.X - X) <= 0.1 + 1e-6).all()
    assert (rejection(known.X)[known.fooled] <= 0).all()
    unaware = pgd(forward, X, y, threat, coins(), steps=200, loss="margin")
    assert unaware.fooled[0].tolist() == [True, True, True, True, False]
    assert (rejection(unaware.X)[unaware.fooled] > 0).all()


def test_without_a_guard_it_is_pgd_on_the_margin(system):
    X, y, _ = (v[:20] for v in system.problem.rows("test"))
    X = system.tensor(X).expand(system.replicates, -1, -1)
    threat = ThreatModel.of(system.problem, "linf", 0.3, X)
    coins = lambda: [torch.Generator().manual_seed(r) for r in range(4)]  # noqa: E731
    y = system.tensor(y)
    ours = selective_pgd(system.forward, X, y, threat, coins(), rejection=None, steps=10)
    theirs = pgd(system.forward, X, y, threat, coins(), steps=10, loss="margin")
    torch.testing.assert_close(ours.X, theirs.X)


def measured(system):
    found = GuardedRobustness(epsilon=1.0, steps=10, restarts=1, points=80).measure(system)
    return {m.name: m.values for m in found.measurements}, found


def test_knowing_the_guard_helps_the_attacker_and_never_hurts(system):
    plain, _ = measured(system)
    assert (plain["detected"] == 0).all()
    assert (plain["rejected_clean"] == 0).all()
    guarded, _ = measured(InputGuard("softmax", false_rejection=0.3).deploy(system))
    assert (guarded["fooled"] >= guarded["fooled_unaware"]).all()
    assert guarded["fooled"].mean() > guarded["fooled_unaware"].mean()
    assert guarded["fooled_unaware"].mean() < plain["fooled_unaware"].mean()
    assert (guarded["masking"] == 0).all()


def test_a_guard_whose_score_is_unknown_is_said_not_to_be_attacked_adaptively(system):
    secret = dataclasses.replace(InputGuard().deploy(system), rejection=None)
    values, found = measured(secret)
    assert "fooled" not in values and "not adaptive" in found.missing["fooled"]
    assert found.facts["adaptive"] is False
    # and a further guard with a score does not make the whole known
    assert SelectivePrediction().deploy(secret).rejection is None
