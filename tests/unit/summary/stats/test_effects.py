import math

import numpy as np
import pytest
from scipy import stats

from trustbench.summary.stats.effects import (
    LARGEST_N,
    Aim,
    Kind,
    Verdict,
    mean_and_sd,
    not_measured,
    paired_effect,
    required_n,
    required_n_text,
    tost_p,
)
from trustbench.summary.stats.verdicts import judge


def effect_of(mean, sd, n=16):
    """An effect with exactly this mean and standard deviation."""
    z = np.linspace(-1, 1, n)
    return paired_effect(mean + sd * z / z.std(ddof=1))


def test_the_mean_and_spread_are_those_of_numpy_to_the_last_bit():
    rng = np.random.default_rng(3)
    for n in (*range(2, 40), 127, 128, 129, 1000):
        values = rng.normal(0.3, 10.0 ** rng.integers(-8, 8), n)
        assert mean_and_sd(values) == (values.mean(), values.std(ddof=1))


def test_agrees_with_scipy():
    rng = np.random.default_rng(0)
    treated, baseline = rng.normal(0.3, 0.2, 12), rng.normal(0.2, 0.2, 12)
    ours, theirs = paired_effect(treated - baseline), stats.ttest_rel(treated, baseline)
    ci95, ci90 = theirs.confidence_interval(0.95), theirs.confidence_interval(0.90)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-10)
    assert (ours.low, ours.high) == pytest.approx((ci95.low, ci95.high), rel=1e-10)
    assert (ours.low90, ours.high90) == pytest.approx((ci90.low, ci90.high), rel=1e-10)
    assert ours.effect == pytest.approx(np.mean(treated - baseline))


def test_dz_has_the_small_sample_factor():
    e = effect_of(0.4, 0.2, n=8)
    assert e.dz == pytest.approx(2.0 * (1 - 3 / (4 * 8 - 5)))


def test_interval_covers_and_tost_keeps_its_level():
    rng, runs, n, delta = np.random.default_rng(1), 4000, 10, 0.5
    # at the margin itself, the hardest null of the equivalence test
    effects = [paired_effect(d) for d in rng.normal(delta, 0.4, (runs, n))]
    covered = np.mean([e.low <= delta <= e.high for e in effects])
    equivalent = np.mean([tost_p(e, delta) < 0.05 for e in effects])
    false_harm = np.mean(
        [
            judge(e, 0.05, e.p).kind in (Kind.HARM, Kind.BENEFIT)
            for e in (paired_effect(d) for d in rng.normal(0, 0.4, (runs, n)))
        ]
    )
    error = 4 * math.sqrt(0.05 * 0.95 / runs)
    assert abs(covered - 0.95) < error
    assert abs(equivalent - 0.05) < error
    assert abs(false_harm - 0.05) < error


def test_required_n_reaches_the_power_it_promises():
    rng, delta, runs = np.random.default_rng(2), 1.0, 4000
    n = required_n(1.0, delta)

    def power(size):
        return np.mean(
            [tost_p(paired_effect(d), delta) < 0.05 for d in rng.normal(0, 1, (runs, size))]
        )

    assert power(n) > 0.78
    assert power(n - 2) < 0.78


def test_tost_p_and_the_90_percent_interval_agree():
    for mean in np.linspace(-0.05, 0.05, 41):
        e = effect_of(mean, 0.03)
        inside = e.low90 > -0.02 and e.high90 < 0.02
        assert (tost_p(e, 0.02) < 0.05) == inside


def test_differences_that_are_all_zero():
    e = paired_effect(np.zeros(16))
    assert (e.effect, e.low, e.high, e.p, e.dz) == (0, 0, 0, 1, None)
    assert judge(e, 0.01, 1.0).text == "not applicable (every difference is 0)"
    assert tost_p(e, 0.01) == 1


def test_constant_differences_are_significant_without_a_width():
    e = paired_effect(np.full(16, 0.1))
    assert (e.effect, e.low, e.high, e.p, e.dz) == (0.1, 0.1, 0.1, 0, None)
    assert judge(e, 0.02, e.p).text == "harm"
    assert judge(e, 0.2, e.p).text == "not applicable (every difference is 0.1)"
    assert judge(paired_effect(np.full(4, -0.1)), 0.02, 0.0).text == "benefit"


def test_rounding_error_is_not_variation():
    a = np.random.default_rng(3).normal(size=16)
    e = paired_effect((a + 0.3) - a)
    assert (e.sd, e.dz) == (0, None)


@pytest.mark.parametrize("bad", [[0.1], [], [0.1, float("nan")], [0.1, float("inf")]])
def test_too_few_or_bad_differences_are_refused(bad):
    with pytest.raises(ValueError, match="at least 2 finite differences"):
        paired_effect(np.array(bad))


@pytest.mark.parametrize(
    ("mean", "sd", "delta", "text"),
    [
        (0.10, 0.05, 0.02, "harm"),
        (-0.10, 0.05, 0.02, "benefit"),
        (0.00, 0.01, 0.02, "no material effect"),
        (0.01, 0.005, 0.02, "significant but immaterial"),
        (-0.01, 0.005, 0.02, "significant but immaterial"),
    ],
)
def test_verdicts(mean, sd, delta, text):
    e = effect_of(mean, sd)
    assert judge(e, delta, e.p).text == text


def test_inconclusive_names_the_replicates_needed():
    e = effect_of(0.01, 0.05)
    assert judge(e, 0.02, e.p).text == f"inconclusive (needs n = {required_n(e.sd, 0.02)})"
    assert required_n(e.sd, 0.02) > 16


def test_holm_can_turn_harm_into_inconclusive():
    e = effect_of(0.05, 0.08)
    assert judge(e, 0.02, e.p).text == "harm"
    assert judge(e, 0.02, p_adjusted=0.06, family=20).kind is Kind.INCONCLUSIVE


def test_needed_n_always_exceeds_the_n_that_ran():
    for mean in np.linspace(0, 0.06, 25):
        for sd in (0.005, 0.02, 0.08):
            e = effect_of(mean, sd)
            verdict = judge(e, 0.02, min(1.0, 20 * e.p), family=20)
            if verdict.kind is Kind.INCONCLUSIVE:
                assert int(verdict.detail.rsplit(" ", 1)[1]) > 16


def test_needed_n_near_the_margin_is_what_detects_the_effect():
    # enough replicates for equivalence at zero, but the mean sits on the margin
    e = effect_of(0.02, 0.025)
    assert required_n(e.sd, 0.02) <= e.n
    verdict = judge(e, 0.02, p_adjusted=0.1, family=20)
    n = int(verdict.detail.rsplit(" ", 1)[1])
    t = stats.t(n - 1).ppf
    assert n >= ((t(1 - 0.05 / 40) + t(0.8)) * e.sd / 0.02) ** 2


def test_hopeless_precision_is_said():
    assert judge(effect_of(0.0, 50.0), 0.01, 1.0).detail == "needs n > 100000"


def test_absence_is_a_verdict_with_a_reason():
    verdict = not_measured("training=memorising")
    assert verdict.text == "not measured (needs training=memorising)"
    assert verdict.reason == "needs training=memorising"
    failed = Verdict(Kind.FAILED, "3 of 16", "pgd_at: diverged")
    assert (failed.text, failed.reason) == ("failed (3 of 16)", "pgd_at: diverged")


def test_an_error_that_replicates_share_is_not_averaged_out():
    """Simulated: with a shared error of sd .5 the plain interval covers far too rarely."""
    rng = np.random.default_rng(0)
    plain, honest = [], []
    for _ in range(400):
        d = 0.5 * rng.normal() + rng.normal(0, 0.2, size=16)
        plain.append(paired_effect(d))
        honest.append(paired_effect(d, common_sd=0.5))
    covers = [np.mean([e.low < 0 < e.high for e in es]) for es in (plain, honest)]
    assert covers[0] < 0.4, "the planted error"
    assert 0.92 < covers[1] < 0.99
    assert honest[0].error == pytest.approx(np.hypot(honest[0].sd / 4, 0.5))


# z_{.95} + z_{.9}: in these shared errors TOST resolves its margin with any number of replicates
LIMIT = 1.6448536 + 1.2815516


@pytest.mark.parametrize("common", [0.0, 0.1, 0.2, 0.3])
def test_required_n_with_a_shared_error_is_the_closed_form(common):
    """sd 1, margin 1: the first n with (t_{.95} + t_{.9}) sqrt(1 / n + common^2) <= 1."""

    def short(n):
        t = stats.t(n - 1).ppf
        return (t(0.95) + t(0.9)) * math.sqrt(1 / n + common**2) <= 1

    expected = next(n for n in range(2, 1000) if short(n))
    assert required_n(1.0, 1.0, common) == expected
    # without t's degrees of freedom n = LIMIT^2 / (1 - LIMIT^2 common^2), which is a little less
    assert 1 < expected / (LIMIT**2 / (1 - (LIMIT * common) ** 2)) < 1.3
    assert (expected > required_n(1.0, 1.0)) == (common > 0)


def test_required_n_with_a_shared_error_reaches_its_power():
    rng, runs, common = np.random.default_rng(4), 4000, 0.2

    def power(n):
        shared = common * rng.normal(size=(runs, 1))
        draws = shared + rng.normal(0, 1, (runs, n))
        return np.mean([tost_p(paired_effect(d, common_sd=common), 1.0) < 0.05 for d in draws])

    assert 0.78 < power(required_n(1.0, 1.0, common)) < 0.9
    assert power(required_n(1.0, 1.0)) < 0.78, "what would do without the shared error"


@pytest.mark.parametrize("factor", [0.9, 0.98, 1.02])
def test_only_the_limit_of_n_says_that_no_n_is_enough(factor):
    """A shared error at this factor of the one that no number of replicates makes up for."""
    common, aim = factor / LIMIT, Aim(1.0, 0.05, 0.9)
    effect = paired_effect(np.array([-1.0, 1.0] * 8), common_sd=common)
    n = np.arange(2, 2000)
    factors = stats.t(n - 1).ppf(0.95) + stats.t(n - 1).ppf(0.9)
    enough = n[factors * np.sqrt(effect.sd**2 / n + common**2) <= 1]
    expected = f"n = {enough[0]}" if len(enough) else "more points or pools: no n is enough"
    assert required_n_text(effect, [aim]) == expected
    assert bool(len(enough)) == (factor < 1)


def test_a_verdict_asks_for_replicates_while_they_help_and_for_points_where_not():
    """The old rule (a shared error above a quarter of the margin) gave up on the first one."""
    d = np.array([-0.05, 0.05] * 3)
    helped = judge(paired_effect(d, common_sd=0.3 * 0.05), 0.05, 1.0)
    n = int(helped.detail.removeprefix("needs n = "))
    t = stats.t(n - 1).ppf
    assert (t(0.95) + t(0.9)) * math.hypot(d.std(ddof=1) / math.sqrt(n), 0.015) <= 0.05
    hopeless = paired_effect(np.linspace(-0.01, 0.01, 16), common_sd=0.1)
    text = "inconclusive (needs more points or pools: no n is enough)"
    assert judge(hopeless, 0.05, hopeless.p).text == text


def test_pools_of_one_file_share_rows_however_many_there_are():
    """Nadeau and Bengio: error(K) = sd sqrt(1 / K + overlap)."""
    d, pools = np.repeat([-0.01, 0.0, 0.01], 4), np.repeat([0, 1, 2], 4)
    for overlap in (0.0, 0.05):
        effect = paired_effect(d, pools, overlap=overlap)
        assert effect.error == pytest.approx(0.01 * math.sqrt(1 / 3 + overlap))
        k = int(judge(effect, 0.01, 1.0).detail.removeprefix("needs pools = "))
        n = np.arange(2, 1000)
        factors = stats.t(n - 1).ppf(0.95) + stats.t(n - 1).ppf(0.9)
        assert k == n[factors * np.sqrt(1 / n + overlap) <= 1][0]
    # sd = delta: no K is enough from overlap 1 / LIMIT^2 = .117 on
    stuck = paired_effect(d, pools, overlap=0.125)
    assert judge(stuck, 0.01, 1.0).detail == "needs more data: no number of pools is enough"
    far = paired_effect(1000 * d, pools)
    assert judge(far, 0.01, 1.0).detail == f"needs pools > {LARGEST_N}"


def test_differences_that_only_share_an_error_have_its_interval():
    e = paired_effect(np.full(16, 0.1), common_sd=0.1)
    half = stats.t(15).ppf(0.975) * 0.1
    assert (e.low, e.high) == pytest.approx((0.1 - half, 0.1 + half))
    assert (e.sd, e.dz) == (0, None)
    assert judge(e, 0.05, e.p).kind is Kind.INCONCLUSIVE
    assert tost_p(e, 0.05) > 0.5
