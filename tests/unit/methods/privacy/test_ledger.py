"""What the ledger claims of reads, and when it claims nothing."""

import math

import pytest
from opacus.accountants import PRVAccountant

from trustbench.config.compose import compose, composed_arm
from trustbench.contracts import Gaussian, PoissonGaussian, Pure, Read
from trustbench.contracts.guarantees import facts, refuse_claims
from trustbench.errors import ConfigError
from trustbench.execution.plan import plan
from trustbench.methods.privacy.composition import spent
from trustbench.methods.privacy.ledger import (
    PLAIN,
    Entry,
    Setting,
    guarantees,
    refusal,
)

SUMS = Read("members", "clipped gradients", "training", PoissonGaussian(1.2, 0.1, 60), 1e-4)
DP = Entry("dpsgd", (SUMS,))
HALF, ALL = Setting(), Setting(inclusion="all")
DATA = Entry("digits", ())


def pool(into, rows="pool"):
    return Entry("other", (Read(rows, "column means", into),))


def claim(*entries, setting=HALF, observed=()):
    (one,) = guarantees((DATA, *entries), setting, observed)
    return one


def prv(steps):
    accountant = PRVAccountant()
    accountant.history = [(1.2, 0.1, steps)]
    return accountant.get_epsilon(delta=1e-4)


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_every_trained_copy_that_answers_is_composed(copies):
    found = claim(DP, Entry("ensemble", (), copies=copies))
    assert found.void is None
    assert found.epsilon == pytest.approx(prv(60 * copies), rel=0.02)
    assert (found.epsilon > 1.3 * prv(60)) == (copies > 1), "a planted error would be seen"
    assert facts([found]) == {
        "epsilon": found.epsilon, "delta": 1e-4, "accountant": found.accountant,
    }  # fmt: skip


def test_the_scope_stands_beside_the_number():
    line = claim(DP, pool("training"), pool("answers", "validation")).line()
    assert line.startswith(f"epsilon {prv(60):.2f}"[:12])
    for part in (
        "at delta 0.0001",
        "one training member more or less",
        "taken as public: the number of members, column means of the training pool (other)",
        "not covered: whoever knows the seed",
        "validation rows (they choose the epoch)",
        "validation rows (other: column means)",
        "tuning",
    ):
        assert part in line
    quiet = claim(DP, setting=Setting(regime="memorising")).line()
    assert "validation" not in quiet
    system = Read("members", "x", "training", SUMS.mechanism, 1e-4, noise="system")
    assert "seed" not in claim(Entry("dpsgd", (system,))).line()


@pytest.mark.parametrize("into", ["inputs", "answers"])
def test_what_is_learnt_from_the_pool_is_public_in_halves_and_the_members_own_in_the_whole(into):
    assert claim(DP, pool(into)).void is None
    void = claim(DP, pool(into), setting=ALL)
    assert "other uses column means of the training pool without a mechanism" in void.void
    assert void.epsilon is void.delta is void.accountant is None
    assert facts([void]) == {}
    assert not any(c.isdigit() for c in void.line())
    assert void.line().startswith("privacy claim void: ")
    assert refusal((DP, pool(into)), ALL) is None


def test_pool_dependent_training_is_refused_where_the_pool_is_the_members():
    assert refusal((DP, pool("training")), Setting()) is None
    assert refusal((pool("training"),), ALL) is None, "without a claim nothing is false"
    assert "take protocol.inclusion=half" in refusal((DP, pool("training")), ALL)


def test_a_private_read_of_the_pool_is_counted_where_the_pool_is_the_members():
    counts = Entry("counts", (Read("pool", "sizes", "answers", Gaussian(5.0), 1e-4),))
    assert claim(DP, counts).epsilon == pytest.approx(prv(60), rel=0.02)
    assert "neighbours differently" in claim(DP, counts, setting=ALL).void
    again = Entry("again", (Read("pool", "sums", "training", PoissonGaussian(1.2, 0.1, 40), 1e-4),))
    assert refusal((DP, again), ALL) is None


@pytest.mark.parametrize("setting", [Setting(), ALL])
def test_a_model_fitted_without_a_mechanism_voids_the_claim(setting):
    void = claim(DP, pool("model"), setting=setting)
    assert "other answers by a model of its own" in void.void


def test_a_claim_on_members_whose_gradients_go_through_no_mechanism_is_void():
    histogram = Entry("histogram", (Read("members", "counts", "answers", Pure("Laplace", 1.0)),))
    assert "training uses the gradients" in claim(histogram, PLAIN).void


def test_an_undeclared_plugin_and_an_undeclared_act_void_every_claim():
    assert claim(DP, Entry("mine", None)).void == (
        "mine does not declare which private rows it reads"
    )
    assert claim(DP, observed=["X answers with 3 trained copies"]).void.startswith("X answers")


def test_rows_that_another_method_reads_plainly_are_not_claimed():
    sets = Entry("sets", (Read("calibration", "t", "answers", Pure("exponential", 8.0, 2)),))
    alone = claim(sets, PLAIN)
    assert (alone.epsilon, alone.delta, alone.neighbours) == (16.0, 0.0, "replace")
    assert facts([alone])["calibration_epsilon"] == 16.0
    assert "replaced" in alone.line()
    assert "training members" in alone.line()
    assert "of the calibration rows" in claim(sets, pool("answers", "calibration")).void
    assert [g.rows for g in guarantees((sets, DP), Setting())] == ["calibration", "members"]


def test_explanations_alone_are_covered_by_their_own_noise():
    noisy = Read(
        "members", "attributions", "answers", Gaussian(20.0, 100), 1e-5, covers="explanation",
        beyond=("labels",),
    )  # fmt: skip
    found = claim(Entry("dp", (noisy,)), PLAIN, pool("model"))
    assert found.void is None
    assert found.not_covered[0] == "labels"
    assert set(facts([found])) == {
        "explanation_epsilon", "explanation_delta", "explanation_accountant",
    }  # fmt: skip


def test_a_matched_control_deploys_what_was_trained_without_the_methods():
    matched = Setting(own_training=False)
    assert guarantees((DP,), matched) == ()
    assert refusal((DP, pool("training")), Setting(inclusion="all", own_training=False)) is None


@pytest.mark.parametrize(
    "fact", ["epsilon", "epsilon_rdp", "delta", "accountant", "my_epsilon", "explanation_delta"]
)
def test_a_plugin_that_states_a_guarantee_is_refused(fact):
    with pytest.raises(ConfigError, match=f"states {fact}"):
        refuse_claims({"noise_multiplier": 1.0, fact: 1.0})


def test_pure_releases_add_up_or_compose_at_a_delta():
    assert spent([Pure("Laplace", 0.5, 2), Pure("exponential", 1.0)], 0.0) == (
        2.0, 0.0, "basic composition",
    )  # fmt: skip
    many = spent([Pure("Laplace", 0.1, 1000)], 1e-5)
    theorem = math.sqrt(2 * 1000 * math.log(1e5)) * 0.1 + 1000 * 0.1 * math.expm1(0.1)
    assert many.epsilon == pytest.approx(theorem)
    assert many.delta == 1e-5
    assert spent([Pure("Laplace", 800.0)], 1e-5).epsilon == 800.0
    both = spent([Pure("Laplace", 0.5), Gaussian(2.0)], 1e-5)
    assert both.epsilon == pytest.approx(0.5 + spent([Gaussian(2.0)], 1e-5).epsilon)


def test_five_deployed_members_on_digits_spend_more_than_one():
    chosen = ["dataset=digits", "model=mlp"]
    one = plan(composed_arm(compose([*chosen, "intervention=dpsgd"])))
    five = plan(composed_arm(compose([*chosen, "intervention=[dpsgd,deep_ensemble]"])))
    [alone], [whole] = one.guarantees, five.guarantees
    assert alone.epsilon == pytest.approx(2.985, abs=0.001)
    assert whole.epsilon == pytest.approx(8.324, abs=0.001)
    assert whole.delta == alone.delta
    assert "composed of dpsgd (5 x 60 noisy sums)" in whole.line()
