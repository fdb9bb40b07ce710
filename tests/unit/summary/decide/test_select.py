"""The choice among arms is right on records made by hand, whose answer is known."""

import pytest

from tests.unit.summary.builder import CRESSWELL, METRICS, R, method, record
from trustbench.summary.decide import select_json
from trustbench.summary.decide import select_text as people
from trustbench.summary.decide.decisions import Outcome
from trustbench.summary.decide.policy import TARGETS, parse_policy
from trustbench.summary.decide.select import select

A, B, C = (method("pgd_at", epsilon=e) for e in (0.1, 0.2, 0.3))
EQUAL = dict.fromkeys(TARGETS, 1.0)


def policy(weights=EQUAL, **more):
    """A policy with these weights; targets that are not named weigh nothing."""
    full = {t: weights.get(t, 0.0) for t in TARGETS}
    ranked = sorted(full.items(), key=lambda item: -item[1])
    return parse_policy(
        {
            "name": "mine",
            "version": 1,
            "description": "a test",
            "priorities": [{"target": t, "weight": w} for t, w in ranked],
            **more,
        },
        "mine.yaml",
    )


def arms(*treated, **options):
    """A baseline and treated arms (method, shift[, noise]) in both regimes."""
    out = []
    for regime in ("tuned", "memorising"):
        out.append(record(regime=regime, **options))
        for spec, shift, *noise in treated:
            more = noise[0] if noise else {}
            out.append(record(spec, regime=regime, shift=shift, noise=more, **options))
    return out


def choose(records, asked=None):
    (found,) = select(records, CRESSWELL, asked or policy())
    return found


def option(selection, label):
    return next(o for o in selection.options if o.label == label)


def test_a_score_is_the_weighted_sum_of_shares_of_the_unacceptable_change():
    shift = {"fairness/acc_gap": 0.05, "robustness/racc": -0.02, "utility/accuracy": 0.01}
    found = choose(arms((A, shift)), policy({"fairness": 2, "robustness": 1, "utility": 1}))
    treated = option(found, "pgd_at epsilon=0.1")
    # 2/4 x .05/.10 worse, 1/4 x .02/.10 worse, 1/4 x .01/.05 better
    assert treated.score.effect == pytest.approx(0.25 + 0.05 - 0.05)
    assert treated.score.n == R
    assert option(found, "none").score.effect == 0.0
    assert treated.beyond_best.effect == pytest.approx(0.25)
    assert found.chosen == "none"


def test_a_dominated_arm_is_named_with_what_dominates_it():
    good = {"robustness/racc": 0.05}
    bad = {"robustness/racc": 0.05, "fairness/acc_gap": 0.04}
    other = {"robustness/racc": 0.02, "fairness/acc_gap": -0.01}
    noise = dict.fromkeys(METRICS, 0.001)
    found = choose(arms((A, good, noise), (B, bad, noise), (C, other, noise)))
    assert "pgd_at epsilon=0.1" in option(found, "pgd_at epsilon=0.2").dominated_by
    front = {o.label for o in found.options if o.on_front}
    assert {"pgd_at epsilon=0.1", "pgd_at epsilon=0.3"} <= front
    assert "pgd_at epsilon=0.2" not in front


def test_what_the_data_leave_open_keeps_an_arm_on_the_front():
    """Better on one target for sure, but perhaps materially worse on another."""
    good = {"robustness/racc": 0.05}
    open_question = {"fairness/acc_gap": 0.1}  # sd of the differences; delta is .02
    found = choose(arms((A, good, {}), (B, {}, open_question)))
    assert option(found, "none").dominated_by == ("pgd_at epsilon=0.1",)
    assert option(found, "pgd_at epsilon=0.2").dominated_by == ()
    assert option(found, "pgd_at epsilon=0.2").on_front


def test_no_two_arms_dominate_each_other():
    small = {"robustness/racc": 0.001, "fairness/acc_gap": 0.001}  # both immaterial
    found = choose(arms((A, small)))
    assert all(o.on_front for o in found.options)


def test_arms_that_the_data_do_not_tell_apart_are_tied():
    noise = dict.fromkeys(METRICS, 0.03)
    found = choose(arms((A, {"robustness/racc": 0.001}, noise), (B, {"fairness/acc_gap": 0.9})))
    loser = next(o for o in found.options if o.label in ("none", "pgd_at epsilon=0.1") and o.tied)
    assert loser.label != found.chosen
    assert any(f"do not tell {found.chosen} from {loser.label}" in n for n in found.notes)
    assert not option(found, "pgd_at epsilon=0.2").tied


def test_an_unmeasured_aspect_has_no_number_and_no_score():
    records = arms((A, {"robustness/racc": 0.5}))
    records.append(record(B, shift={"robustness/racc": 0.9}))  # tuned only: no privacy
    found = choose(records)
    lone = option(found, "pgd_at epsilon=0.2")
    assert lone.score is None
    assert lone.unscored == "privacy: not measured (needs training=memorising)"
    assert (lone.on_front, lone.wins, lone.harms["privacy"].effect) == (None, None, None)
    assert found.chosen == "pgd_at epsilon=0.1"
    document = select_json.document([found], [])
    (shown,) = [a for a in document["selections"][0]["arms"] if a["arm"] == lone.label]
    assert shown["score"] is None
    assert shown["harms"]["privacy"]["effect"] is None
    assert "memorising" in shown["harms"]["privacy"]["reason"]
    assert "not scored" in people.terminal([found], [])


def test_a_target_without_weight_need_not_be_measured():
    records = arms((A, {"robustness/racc": 0.5}))
    records.append(record(B, shift={"robustness/racc": 0.9}))
    found = choose(records, policy({t: 1 for t in TARGETS if t != "privacy"}))
    assert found.chosen == "pgd_at epsilon=0.2"
    assert "privacy" not in found.compared
    assert any("front leaves out privacy" in n for n in found.notes)


def test_a_failed_arm_is_listed_with_its_reason():
    records = arms((A, {}))
    for regime in ("tuned", "memorising"):
        records.append(record(B, regime=regime, status="failed", reason="3 of 16 diverged"))
    failed = option(choose(records), "pgd_at epsilon=0.2")
    assert failed.score is None
    assert "failed" in failed.unscored
    assert "3 of 16 diverged" in failed.unscored


def test_weights_decide_between_arms():
    fair = {"fairness/acc_gap": -0.10, "utility/accuracy": -0.04}
    useful = {"fairness/acc_gap": 0.02, "utility/accuracy": 0.02}
    records = arms((A, fair), (B, useful))
    assert choose(records, policy({"fairness": 5, "utility": 1})).chosen == "pgd_at epsilon=0.1"
    assert choose(records, policy({"fairness": 1, "utility": 5})).chosen == "pgd_at epsilon=0.2"


def test_wins_say_how_much_the_choice_rests_on_the_weights():
    fair, useful = {"fairness/acc_gap": -0.10}, {"utility/accuracy": 0.05}  # one share each
    records = arms((A, fair), (B, useful))
    even = choose(records, policy({"fairness": 1, "utility": 1}))
    wins = {o.label: o.wins for o in even.options}
    assert sum(wins.values()) == pytest.approx(1)
    assert wins["pgd_at epsilon=0.1"] == pytest.approx(0.5, abs=0.03)  # exchangeable arms
    assert wins["none"] == 0
    # the weight of utility is at most 1.5, that of fairness at least 2: the choice never changes
    firm = choose(records, policy({"fairness": 4, "utility": 1}))
    assert option(firm, "pgd_at epsilon=0.1").wins == 1
    again = choose(records, policy({"fairness": 1, "utility": 1}))
    assert {o.label: o.wins for o in again.options} == wins


def test_arms_with_the_same_numbers_share_the_wins():
    found = choose(arms((A, {})))
    assert [o.wins for o in found.options] == [0.5, 0.5]
    assert [o.on_front for o in found.options] == [True, True]


LIMIT = {"metric": "fairness", "worse_by_at_most": 0.05}


def test_an_arm_that_breaks_a_limit_is_not_chosen_however_well_it_scores():
    better = {"robustness/racc": 0.4, "fairness/acc_gap": 0.10}
    found = choose(arms((A, better)), policy(limits=[LIMIT]))
    assert option(found, "pgd_at epsilon=0.1").outcome is Outcome.VIOLATED
    assert option(found, "pgd_at epsilon=0.1").score.high < 0
    assert found.chosen == "none"
    assert found.outcome is Outcome.PASS


def test_an_unclear_limit_leaves_the_arm_unclear():
    noisy = {"fairness/acc_gap": 0.1}
    absolute = {"metric": "fairness", "at_most": 0.10}  # the baseline has .22
    found = choose(
        arms((A, {"fairness/acc_gap": -0.12, "robustness/racc": 0.1}, noisy)),
        policy(limits=[absolute]),
    )
    assert option(found, "none").outcome is Outcome.VIOLATED
    assert found.chosen == "pgd_at epsilon=0.1"
    assert found.outcome is Outcome.INCONCLUSIVE
    assert any("not shown to violate" in n for n in found.notes)


def test_nothing_is_chosen_where_every_arm_violates():
    found = choose(arms((A, {})), policy(limits=[{"metric": "fairness", "at_most": 0.01}]))
    assert found.chosen is None
    assert found.outcome is Outcome.VIOLATED
    assert any("Every arm that could be scored violates" in n for n in found.notes)
    assert "no arm is chosen (violated)" in people.terminal([found], [])


def test_a_verdict_of_harm_blocks_where_the_policy_says_so():
    harm = {"fairness/acc_gap": 0.30, "robustness/racc": 0.9}
    noise = {"fairness/acc_gap": 0.01}
    asked = policy(block=[{"verdicts": ["harm"]}], inconclusive="pass")
    found = choose(arms((A, harm, noise)), asked)
    assert option(found, "pgd_at epsilon=0.1").outcome is Outcome.VIOLATED
    assert found.chosen == "none"


def test_what_a_release_gives_away_counts_though_the_models_are_the_baselines():
    lime = method("lime")
    records = [*arms(), record(lime), record(lime, regime="memorising")]
    found = option(choose(records), "lime")
    assert found.harms["fairness"].metric == "fidelity_gap/gap"
    assert found.harms["fairness"].against == "fidelity_gap/gap_permuted"
    assert found.harms["fairness"].effect.effect == pytest.approx(0.13, abs=0.03)
    # not on the diagonal, where the null has no explanations: the column, as the baseline
    assert found.harms["explainability"].metric == "explainability/lime_r2"
    assert found.harms["explainability"].effect.effect == 0


def test_other_seeds_than_the_baselines_are_not_compared():
    records = [
        *arms((A, {"robustness/racc": 0.1})),
        record(seed=1),
        record(seed=1, regime="memorising"),
    ]
    lone = option(choose(records), "pgd_at epsilon=0.1")
    assert "needs seed 1" in lone.unscored


def test_several_pools_are_compared_by_their_means():
    records = []
    for seed in (0, 1, 2):
        records += arms((A, {"robustness/racc": 0.1}), seed=seed)
    treated = option(choose(records), "pgd_at epsilon=0.1")
    assert (treated.score.n, treated.score.pools) == (3 * R, 3)
    assert treated.score.effect == pytest.approx(-1 / 6)
