"""The verdict where random groups of the same sizes are read beside an effect."""

from dataclasses import replace

import numpy as np
import pytest

from trustbench.summary.stats.effects import (
    ALPHA,
    FDR,
    LARGEST_N,
    POWER,
    ROUNDING,
    Aim,
    Kind,
    paired_effect,
    required_n,
    required_n_text,
    smallest_n,
)
from trustbench.summary.stats.verdicts import (
    BY_CHANCE,
    claim_p,
    judge,
    open_beyond_chance,
    side_of_zero,
)


def effect(mean, sd=0.02, common=0.0, n=16):
    z = np.random.default_rng(0).normal(size=n)
    return paired_effect(mean + sd * (z - z.mean()) / z.std(ddof=1), common_sd=common)


HARM, BENEFIT, NOTHING = effect(0.1), effect(-0.1), effect(0.0)
UNSURE = effect(0.1, common=0.2)


@pytest.mark.parametrize(
    ("found", "beyond", "kind"),
    [
        (HARM, effect(0.05), Kind.HARM),
        (BENEFIT, effect(-0.05), Kind.BENEFIT),
        (HARM, NOTHING, Kind.INCONCLUSIVE),
        (HARM, UNSURE, Kind.INCONCLUSIVE),  # the luck of one grouping explains it
        (HARM, BENEFIT, Kind.INCONCLUSIVE),  # random groups show more
        (BENEFIT, HARM, Kind.INCONCLUSIVE),
    ],
)
def test_harm_and_benefit_need_both_differences_on_one_side(found, beyond, kind):
    verdict = judge(found, 0.02, claim_p(found, beyond), beyond_chance=beyond)
    assert verdict.kind is kind
    assert verdict.by_chance == (kind is Kind.INCONCLUSIVE)
    if verdict.by_chance:
        assert verdict.text == f"inconclusive ({BY_CHANCE})"
        assert verdict.needs is None
    assert judge(found, 0.02, found.p).kind in (Kind.HARM, Kind.BENEFIT)


def test_what_replicates_would_show_beyond_chance_asks_for_them():
    noisy = effect(0.1, sd=0.25)  # across zero by its spread alone
    assert noisy.low < 0
    verdict = judge(HARM, 0.02, claim_p(HARM, noisy), 3, beyond_chance=noisy)
    assert (verdict.kind, verdict.by_chance) == (Kind.INCONCLUSIVE, False)
    n = int(verdict.needs.removeprefix("n = "))
    assert n == smallest_n(noisy.sd, Aim(noisy.effect, 0.05 / 6, 0.8))
    small = effect(0.015, sd=0.25)  # nothing of interest would be left
    assert judge(HARM, 0.02, claim_p(HARM, small), beyond_chance=small).by_chance


def test_no_material_effect_speaks_of_the_metric_as_it_is_printed():
    small, beyond = effect(0.01, sd=0.001), effect(0.05)
    assert judge(small, 0.02, small.p).kind is Kind.IMMATERIAL
    assert judge(small, 0.02, claim_p(small, beyond), beyond_chance=beyond).kind is Kind.IMMATERIAL
    for other in (NOTHING, UNSURE, BENEFIT):
        verdict = judge(small, 0.02, claim_p(small, other), beyond_chance=other)
        assert verdict.kind is Kind.NO_MATERIAL
    flat = effect(0.0, sd=0.001)
    assert judge(flat, 0.02, claim_p(flat, HARM), beyond_chance=HARM).kind is Kind.NO_MATERIAL


def test_the_claim_has_the_larger_p_and_none_where_the_signs_differ():
    assert claim_p(HARM) == HARM.p
    assert claim_p(HARM, UNSURE) == UNSURE.p > HARM.p
    assert claim_p(UNSURE, HARM) == UNSURE.p
    assert claim_p(HARM, BENEFIT) == claim_p(HARM, NOTHING) == 1.0
    assert [side_of_zero(e) for e in (HARM, BENEFIT, NOTHING)] == [1, -1, 0]


def test_what_is_not_significant_by_itself_asks_for_replicates_as_ever():
    wide = effect(0.01, sd=0.1)
    verdict = judge(wide, 0.05, claim_p(wide, NOTHING), beyond_chance=NOTHING)
    assert not verdict.by_chance
    assert verdict.needs == f"n = {required_n(wide.sd, 0.05)}"
    assert verdict.detail == f"needs {verdict.needs}"


def test_a_claim_that_the_family_leaves_open_asks_for_what_the_weaker_difference_needs():
    barely = effect(0.1, sd=0.17)  # excludes zero alone, not within twenty tests
    assert barely.low > 0
    p = min(1.0, 20 * claim_p(HARM, barely))
    assert p > 0.05
    verdict = judge(HARM, 0.02, p, 20, beyond_chance=barely)
    assert verdict.needs == judge(barely, 0.02, p, 20).needs
    assert int(verdict.needs.removeprefix("n = ")) > 20


def constant(value):
    return paired_effect(np.full(4, value))


def test_the_registered_levels():
    """Declared before any table was computed."""
    assert (ALPHA, FDR, POWER, ROUNDING, LARGEST_N) == (0.05, 0.10, 0.80, 1e-12, 100_000)


def test_what_touches_a_limit_lies_outside_of_it():
    """Intervals that end at zero do not exclude it; those that end at the margin are not inside."""
    zero = constant(0.0)
    assert side_of_zero(zero) == 0
    assert side_of_zero(HARM, zero) == side_of_zero(BENEFIT, zero) == 0
    assert claim_p(zero, HARM) == claim_p(HARM, zero) == 1.0
    assert judge(constant(0.02), 0.02, 0.0).kind is Kind.HARM
    assert judge(constant(-0.02), 0.02, 0.0).kind is Kind.BENEFIT
    assert judge(constant(0.02), 0.02, 1.0).kind is Kind.INCONCLUSIVE
    assert judge(HARM, 0.02, ALPHA).kind is Kind.INCONCLUSIVE, "p has to be below the level"
    assert judge(HARM, 0.02, 0.02, alpha=0.01).kind is Kind.INCONCLUSIVE


def test_an_effect_of_the_margin_asks_for_what_detects_it():
    """None shows it equivalent, so the number is not that of a true effect of zero."""
    wide = paired_effect(np.array([-0.25, 0.75] * 8))  # mean 0.25 exactly
    detects = smallest_n(wide.sd, Aim(0.25, ALPHA / 6, POWER))
    assert judge(wide, 0.25, 1.0, 3).needs == f"n = {detects}"
    assert judge(wide, 0.26, 1.0, 3).needs == f"n = {required_n(wide.sd, 0.26)}"
    assert detects != required_n(wide.sd, 0.26) > 16


def test_inside_the_margin_the_cheaper_of_both_claims_is_asked_for():
    d = np.array([-1.0, 1.0] * 30)
    for mean, margin in ((0.5, 0.55), (0.05, 0.55)):
        found = paired_effect(d + mean)
        assert required_n(found.sd, margin) <= found.n
        sizes = [
            smallest_n(found.sd, Aim(mean, ALPHA / 40, POWER)),
            smallest_n(found.sd, Aim(margin - mean, ALPHA, POWER)),
        ]
        expected = min(max(n, 61) for n in sizes if n is not None)
        found = judge(found, margin, 1.0, 20)
        if found.kind is Kind.INCONCLUSIVE:
            assert found.needs == f"n = {expected}"


def test_what_is_beyond_chance_counts_from_the_margin_on():
    d = np.array([-1.0, 1.5] * 8)
    beyond = paired_effect(d)  # mean 0.25 exactly
    assert not open_beyond_chance(HARM, beyond, 0.25).by_chance
    assert open_beyond_chance(HARM, beyond, 0.2500001).by_chance
    assert open_beyond_chance(BENEFIT, beyond, 0.25).by_chance
    needs = smallest_n(beyond.sd, Aim(0.25, ALPHA / 2, POWER))
    assert open_beyond_chance(HARM, beyond, 0.25).needs == f"n = {needs}"


def test_a_study_asks_for_at_least_one_replicate_more():
    found = paired_effect(np.array([-1.0, 1.0] * 8))
    assert required_n_text(found, [Aim(100.0, 0.05, 0.8)]) == "n = 17"
    assert smallest_n(0.0, Aim(1.0, 0.05, 0.8)) == 2
    pools = paired_effect(np.repeat([-1.0, 0.0, 1.0], 4), np.repeat([0, 1, 2], 4))
    assert (pools.n, pools.pools, pools.units) == (12, 3, 3)
    assert required_n_text(pools, [Aim(100.0, 0.05, 0.8)]) == "pools = 4"


def test_as_many_replicates_as_equivalence_needs_leave_what_the_mean_needs():
    z = np.linspace(-1, 1, 11)
    found = paired_effect(0.9 + z / z.std(ddof=1))
    assert required_n(found.sd, 1.0) == found.n == 11
    sizes = [
        smallest_n(found.sd, Aim(0.9, ALPHA / 20, POWER)),
        smallest_n(found.sd, Aim(1.0 - found.effect, ALPHA, POWER)),
    ]
    assert judge(found, 1.0, 1.0, 10).needs == f"n = {min(sizes)}" != "n = 12"


def test_one_test_is_a_family_of_one():
    wide = paired_effect(np.array([-0.25, 0.75] * 8))
    assert judge(wide, 0.25, 1.0) == judge(wide, 0.25, 1.0, family=1) != judge(wide, 0.25, 1.0, 2)
    beyond = paired_effect(np.array([-1.0, 1.5] * 8))
    assert open_beyond_chance(HARM, beyond, 0.2) == open_beyond_chance(HARM, beyond, 0.2, 1)


def test_of_two_equally_sure_differences_the_printed_one_is_asked_about():
    found = effect(0.1, sd=0.17)
    half = replace(
        found, effect=found.effect / 2, low=found.low / 2, high=found.high / 2, sd=found.sd / 2,
        low90=found.low90 / 2, high90=found.high90 / 2,
    )  # fmt: skip
    needs = judge(found, 0.06, 1.0, 20).needs
    assert judge(found, 0.06, 1.0, 20, beyond_chance=half).needs == needs
    assert judge(half, 0.06, 1.0, 20).needs != needs
