"""RMIA, joint LiRA, thresholds and audits against slow loops, scipy, scikit-learn and known DP."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binomtest, multivariate_normal
from sklearn.metrics import balanced_accuracy_score, roc_curve

from trustbench.methods.attacks import membership as mia
from trustbench.methods.attacks.membership import auditing, relative


def halves(R, n, rng):
    """Complementary random halves, as the replicates' are."""
    member = np.zeros((R, n), dtype=bool)
    for r in range(0, R, 2):
        member[r, rng.permutation(n)[: n // 2]] = True
        member[r + 1] = ~member[r]
    return member


def confidences(member, rng, leak):
    """phi with a difficulty per row, and `leak` more where the row was trained on."""
    return 3 * rng.normal(size=member.shape[1]) + leak * member + rng.normal(size=member.shape)


def aucs(values, member):
    return np.array([mia.auc(s, m) for s, m in zip(values, member, strict=True)])


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    member = halves(8, 60, rng)
    phi = confidences(member, rng, leak=1.0)
    population = expit(3 * rng.normal(size=40) + rng.normal(size=(8, 40)))
    return member, phi, expit(phi), population


# --- RMIA ------------------------------------------------------------------------------------


def slow_rmia(p, member, population, target, a, gamma, wrong=""):
    """One pair (x, z) at a time, as the paper writes it; `wrong` plants an error."""
    partner = next(r for r in range(len(p)) if (member[r] == ~member[target]).all())
    left_out = {target} if wrong == "partner kept" else {target, partner}
    references = [r for r in range(len(p)) if r not in left_out]
    out = np.zeros(p.shape[1])
    for x in range(p.shape[1]):
        p_in = np.mean([p[r, x] for r in references if member[r, x]])
        p_out = np.mean([p[r, x] for r in references if not member[r, x]])
        if wrong == "wrong side":
            p_in, p_out = p_out, p_in
        p_x = (p_in + p_out) / 2 if a is None else ((1 + a) * p_out + (1 - a)) / 2
        for z in range(population.shape[1]):
            p_z = np.mean([population[r, z] for r in references])
            p_z = p_z if a is None else ((1 + a) * p_z + (1 - a)) / 2
            out[x] += (p[target, x] / p_x) / (population[target, z] / p_z) > gamma
    return out / population.shape[1]


@pytest.mark.parametrize("gamma", [1.0, 2.0])
@pytest.mark.parametrize("a", [None, 0.3, 0.0])
def test_rmia_equals_the_paper_pair_by_pair(world, a, gamma):
    member, _, p, population = world
    scores = mia.rmia(p, member, population, gamma=gamma, offline_a=a)
    assert scores.usable.all()
    assert scores.shadows == 6
    for target in (0, 5):
        slow = slow_rmia(p, member, population, target, a, gamma)
        np.testing.assert_allclose(scores.values[target], slow, atol=1e-12)


@pytest.mark.parametrize(("wrong", "a"), [("partner kept", None), ("wrong side", 0.3)])
def test_the_loop_catches_planted_errors(world, wrong, a):
    member, _, p, population = world
    scores = mia.rmia(p, member, population, gamma=1.0, offline_a=a)
    planted = slow_rmia(p, member, population, 0, a, 1.0, wrong)
    assert np.abs(scores.values[0] - planted).max() > 0.01


def test_a_partner_among_the_references_would_bias_the_null(monkeypatch):
    rng = np.random.default_rng(1)
    found = {}
    for name in ("left out", "kept"):
        if name == "kept":
            monkeypatch.setattr(relative, "shadows_of", lambda m, r: np.arange(len(m)) != r)
        values = []
        for _ in range(8):
            member = halves(4, 800, rng)
            # noisy and rarely right, so that a mean of few references is far off
            p, z = (expit(3 * rng.normal(size=(4, n)) - 2) for n in (800, 200))
            scores = mia.rmia(p, member, z, gamma=1.0, offline_a=1.0)
            values.append(mia.each(mia.auc, scores, member))
        found[name] = np.mean(values)
    assert abs(found["left out"] - 0.5) < 0.01
    assert found["kept"] < 0.45


# --- LiRA on several outputs -----------------------------------------------------------------


def slow_joint(outputs, member, target, scale=1.0):
    """Row by row with scipy's multivariate normal; `scale` inflates one covariance."""
    shadows = [r for r in range(len(member)) if r != target and r != target ^ 1]
    total = np.zeros(outputs.shape[1])
    for sign, side in ((1, True), (-1, False)):
        chosen = [
            [outputs[r, i] for r in shadows if member[r, i] == side] for i in range(len(total))
        ]
        residuals = np.concatenate([np.array(v) - np.mean(v, axis=0) for v in chosen if v])
        covariance = residuals.T @ residuals / sum(len(v) - 1 for v in chosen if v)
        covariance *= scale if side else 1.0
        for i, v in enumerate(chosen):
            density = multivariate_normal(np.mean(v, axis=0), covariance)
            total[i] += sign * density.logpdf(outputs[target, i])
    return total


def test_joint_lira_equals_scipys_multivariate_normal(world):
    member, phi, _, _ = world
    second = 0.5 * phi + np.random.default_rng(1).normal(size=phi.shape)
    outputs = np.stack([phi, second], axis=2)
    scores = mia.joint_lira(outputs, member)
    np.testing.assert_allclose(scores.values[3], slow_joint(outputs, member, 3), rtol=1e-6)
    planted = slow_joint(outputs, member, 3, scale=1.02)
    assert np.abs(scores.values[3] - planted).max() > 1e-3


def test_joint_lira_on_one_output_is_lira_and_a_copy_adds_nothing(world):
    member, phi, _, _ = world
    alone = mia.lira(phi, member, online=True)
    for outputs in (phi[..., None], np.stack([phi, phi], axis=2)):
        scores = mia.joint_lira(outputs, member)
        # a copy's own tiny variance shifts all scores of a target alike
        shift = (scores.values - alone.values).mean(1, keepdims=True)
        np.testing.assert_allclose(scores.values - shift, alone.values, rtol=1e-5, atol=1e-5)
        assert (scores.usable == alone.usable).all()


# --- thresholds ------------------------------------------------------------------------------


@pytest.mark.parametrize("decimals", [6, 0])
def test_the_best_threshold_is_scikit_learns_best_youden_index(decimals):
    rng = np.random.default_rng(2)
    member = rng.random(300) < 0.4
    scores = np.round(rng.normal(size=300) + member, decimals)
    fpr, tpr, _ = roc_curve(member, scores)
    t = mia.best_threshold(scores, member)
    reached = mia.balanced_accuracy(scores, member, t)
    assert reached == pytest.approx(0.5 + (tpr - fpr).max() / 2, abs=1e-12)
    assert reached == pytest.approx(balanced_accuracy_score(member, scores >= t), abs=1e-12)


def test_a_threshold_from_other_models_is_honest_and_one_from_the_target_is_not():
    rng = np.random.default_rng(3)
    honest, swept = [], []
    for _ in range(10):
        member = halves(8, 100, rng)
        phi = confidences(member, rng, leak=0.0)
        honest.append(mia.advantage(phi, member))
        swept.append(
            [
                mia.oracle_balanced_accuracy(p[m], p[~m]) - 0.5
                for p, m in zip(phi, member, strict=True)
            ]
        )
    assert abs(np.mean(honest)) < 0.012
    assert np.mean(swept) > 0.05  # planted error: the target's own threshold


def test_advantage_finds_a_leak():
    rng = np.random.default_rng(3)
    member = halves(8, 400, rng)
    phi = 2.0 * member + rng.normal(size=member.shape)
    # two unit Gaussians two apart: the midpoint is right 84.1 % of the time
    assert mia.advantage(phi, member).mean() == pytest.approx(0.341, abs=0.02)


# --- what is learned on other replicates ------------------------------------------------------


def test_folds_keep_partners_together_and_are_even():
    rng = np.random.default_rng(4)
    member = halves(8, 30, rng)
    fold = mia.folds(member[[0, 2, 4, 6, 1, 3, 5, 7]])
    assert fold.tolist() == [0, 1, 0, 1] * 2
    assert mia.folds(member[:7]).tolist() == [0, 0, 1, 1, 0, 0, 1]
    assert mia.learnable(member[:4]) is None
    assert "give at least 4" in mia.learnable(member[:2])


def test_a_learned_attack_finds_what_leaks_and_nothing_where_nothing_does():
    rng = np.random.default_rng(5)
    member = halves(8, 400, rng)
    noise = rng.normal(size=(*member.shape, 3))
    idle = aucs(mia.learned_scores(noise, member, 40), member)
    assert abs(idle.mean() - 0.5) < 4 * idle.std() / np.sqrt(8) + 0.005
    # both tails mean member: no threshold on the feature finds it
    signal = np.where(member, rng.choice([-3, 3], size=member.shape), 0) + noise[..., 0]
    features = np.stack([signal, noise[..., 1]], axis=2)
    assert aucs(mia.learned_scores(features, member, 40), member).mean() > 0.85
    assert abs(aucs(signal, member).mean() - 0.5) < 0.03


def test_learned_scores_never_read_the_targets_membership():
    rng = np.random.default_rng(6)
    member = halves(8, 100, rng)
    features = member[..., None] + rng.normal(size=(*member.shape, 1))
    scores = mia.learned_scores(features, member, 10)
    other = member.copy()
    other[[0, 1]] = other[[1, 0]]  # the partner's too: the pair stays in one fold
    again = mia.learned_scores(features, other, 10)
    np.testing.assert_array_equal(scores[[0, 1, 4, 5]], again[[0, 1, 4, 5]])
    assert (scores[2] != again[2]).any()  # they are learned from elsewhere


# --- epsilon ---------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, 1, 37, 99, 100])
def test_clopper_pearson_equals_scipys_exact_interval(k):
    low, high = mia.clopper_pearson(k, 100, 0.975)
    exact = binomtest(k, 100).proportion_ci(0.95, method="exact")
    assert (low, high) == (pytest.approx(exact.low), pytest.approx(exact.high))
    # planted error: one-sided bounds of the wrong confidence
    wrong = mia.clopper_pearson(k, 100, 0.95)
    assert wrong != (pytest.approx(exact.low), pytest.approx(exact.high))


def test_epsilon_is_the_larger_of_both_directions_and_at_least_zero():
    def epsilon(tp, fp, delta=0.0):
        return float(mia.Counts(np.array(tp), 1000, np.array(fp), 1000).epsilon(delta, 0.95))

    low = binomtest(300, 1000).proportion_ci(0.95, method="exact").low
    high = binomtest(20, 1000).proportion_ci(0.95, method="exact").high
    assert epsilon(300, 20) == pytest.approx(np.log(low / high))
    assert epsilon(300, 20, delta=0.1) == pytest.approx(np.log((low - 0.1) / high))
    assert epsilon(980, 700) == pytest.approx(epsilon(300, 20))  # the complementary decisions
    assert epsilon(500, 500) == 0.0
    assert epsilon(20, 300) == 0.0  # the wrong side proves nothing
    assert epsilon(0, 0) == epsilon(1000, 1000) == 0.0


def test_the_bound_stays_below_randomised_response_and_comes_close():
    """Exactly epsilon-DP decisions: member is called member with odds e^epsilon."""
    epsilon, rng = 2.0, np.random.default_rng(7)
    n, truth = 20000, np.exp(epsilon) / (1 + np.exp(epsilon))
    tp, fp = rng.binomial(n, truth, size=400), rng.binomial(n, 1 - truth, size=400)
    lower = mia.Counts(tp, n, fp, n).epsilon(0.0, 0.95)
    assert (lower > epsilon).mean() <= 0.05
    assert lower.mean() > epsilon - 0.1
    # planted error: rates without their bounds are too large half of the time
    assert (np.log(tp / fp) > epsilon).mean() > 0.3


def strongest(phi, member):
    """By all attacks, on a population of rows like the others."""
    p = expit(phi)
    return mia.strongest(mia.Observed(phi, p, p, member, len(member)).attacks, member)


def test_an_audit_of_the_gaussian_mechanism_stays_below_its_epsilon():
    """phi has unit noise and moves by mu: (epsilon, delta) is known in closed form."""
    from scipy.stats import norm

    mu, epsilon, rng = 1.0, 3.0, np.random.default_rng(8)
    delta = norm.cdf(-epsilon / mu + mu / 2) - np.exp(epsilon) * norm.cdf(-epsilon / mu - mu / 2)
    member = halves(8, 4000, rng)
    phi = mu * member + rng.normal(size=member.shape)
    found = mia.audit(strongest(phi, member), member, delta=delta, confidence=0.95)
    assert 0 < found.pooled < epsilon
    assert (found.values <= epsilon).all()
    assert found.values.mean() > 0.5


def test_a_threshold_chosen_on_the_target_claims_an_epsilon_that_is_not_there(monkeypatch):
    rng = np.random.default_rng(9)

    def share(honest):
        if not honest:  # planted error: the best of many thresholds on the target's own rows
            monkeypatch.setattr(auditing, "_threshold", _on_target)
        found = []
        for _ in range(10):
            member = halves(8, 200, rng)
            phi = confidences(member, rng, leak=0.0)
            audit = mia.audit(strongest(phi, member), member, delta=0.0, confidence=0.5)
            found.append(audit.values > 0)
        return np.mean(found)

    assert share(honest=True) <= 0.1
    assert share(honest=False) > 0.5


def _on_target(scores, member, target, delta, confidence):
    tried = np.unique(np.concatenate(target))
    return tried[np.argmax(auditing._decide(target, tried).epsilon(delta, confidence))]
