"""The verdict where random groups of the same sizes are read beside an effect."""

import numpy as np
import pytest

from trustbench.summary.stats.effects import Aim, Kind, paired_effect, required_n, smallest_n
from trustbench.summary.stats.verdicts import BY_CHANCE, claim_p, judge, side_of_zero


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
