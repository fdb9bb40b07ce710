"""The strongest attack: as good as the best single one, and chance where nothing leaks."""

import numpy as np
import pytest
from scipy.special import expit

from tests.unit.methods.attacks.test_membership_oracles import aucs, halves
from trustbench.methods.attacks import membership as mia

R, N = 16, 400


def world(leak, rng):
    """A difficulty per row, and `leak` (a mean and a deviation over rows) more on members."""
    member, mean, sd = halves(R, N, rng), *leak
    moved = mean + sd * rng.normal(size=N)
    phi = 3 * rng.normal(size=N) + moved * member + rng.normal(size=member.shape)
    return member, phi, expit(3 * rng.normal(size=200) + rng.normal(size=(R, 200)))


def attack_on(member, phi, population):
    return mia.Observed(phi, expit(phi), population, member, len(member)).attacks


@pytest.mark.parametrize("leak", [(0.3, 0.0), (0.7, 1.5), (3.0, 0.5)])
def test_it_is_never_worse_than_the_best_single_attack(leak):
    member, phi, population = world(leak, np.random.default_rng(1))
    attack = attack_on(member, phi, population)
    found = mia.strongest(attack, member)
    single = [aucs(s.values, member).mean() for s in attack(np.ones(R, dtype=bool), R).values()]
    mine = aucs(found.scores.values, member)
    assert mine.mean() > max(single) - 0.01
    assert len(found.choices) == R


def test_weak_leakage_is_not_lost_in_the_noise_of_few_shadows():
    """The same shift of every row: offline LiRA is nearly optimal, online LiRA is not."""
    member, phi, population = world((0.3, 0.0), np.random.default_rng(2))
    attack = attack_on(member, phi, population)
    online = aucs(attack(np.ones(R, dtype=bool), R)["lira"].values, member).mean()
    assert aucs(mia.strongest(attack, member).scores.values, member).mean() > online + 0.02


def test_choosing_costs_nothing_where_nothing_leaks():
    rng, means = np.random.default_rng(3), []
    for _ in range(12):
        member, phi, population = world((0.0, 0.0), rng)
        found = mia.strongest(attack_on(member, phi, population), member)
        means.append(aucs(found.scores.values, member).mean())
    error = np.std(means, ddof=1) / np.sqrt(len(means))
    assert abs(np.mean(means) - 0.5) < 3 * error


def test_a_target_and_its_partner_have_no_part_in_their_choice():
    member, phi, population = world((0.7, 1.5), np.random.default_rng(4))
    before = mia.strongest(attack_on(member, phi, population), member).choices
    moved = phi.copy()
    moved[:2] += 5 * member[:2]  # a pair that gives everything away
    after = mia.strongest(attack_on(member, moved, population), member).choices
    for r in (0, 1):
        assert after[r].name == before[r].name
        assert after[r].weights == before[r].weights
    assert not np.array_equal(after[2].scores.values, before[2].scores.values)


def test_without_a_shadow_the_choice_is_held_and_the_shadow_is_gone():
    member, phi, population = world((0.7, 1.5), np.random.default_rng(5))
    whole = mia.strongest(attack_on(member, phi, population), member).scores
    left = whole.without(6)
    np.testing.assert_array_equal(left.values[6], whole.values[6])  # as a target it stays
    np.testing.assert_array_equal(
        left.values[7], whole.values[7]
    )  # it was not a shadow of its partner
    assert not np.array_equal(left.values[0], whole.values[0])


def test_four_replicates_leave_no_models_to_choose_on():
    rng = np.random.default_rng(6)
    member = halves(4, 60, rng)
    phi = rng.normal(size=member.shape)
    assert mia.strongest(attack_on(member, phi, expit(phi)), member) is None
