"""training.lr=auto: what the pilot trains, who shares its choice, and what depends on it."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.arm_toys import DP, Release, ignore
from trustbench.config.arms import Chosen, Protocol
from trustbench.execution import job
from trustbench.execution import pilot as piloting
from trustbench.execution.fit import fit
from trustbench.execution.pilot import assumed, settle, settled
from trustbench.execution.plan import plan
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.launching.machines import _arm_id
from trustbench.launching.order import first_equal
from trustbench.store.records import Store
from trustbench.training import loop

GRID = (0.1, 3e38, 0.001)
RELEASE = Chosen("release", Release())
INHERITS = Chosen(
    "dpsgd", DPSGD(noise_multiplier=1.0, epsilon=None, epochs=2, batch_size=32, lr=None)
)


def fixed_rate(training):
    """The same training at a rate of .1, without a pilot."""
    kind = type(training)
    return replace(training, lr=0.1, lr_grid=kind.lr_grid, lr_pilot_share=kind.lr_pilot_share)


@pytest.fixture
def auto(arm):
    """The toy arm with a grid of one good rate, one that diverges and one that is too small."""
    return replace(arm, training=replace(arm.training, lr="auto", lr_grid=GRID, lr_pilot_share=0.5))


@pytest.fixture
def store(auto):
    return Store(auto.output_dir, warn=pytest.fail)


def journal(store):
    """What pilots began and finished, in order."""
    lines = [x for p in store.root.glob("pilots/*/journal") for x in p.read_text().splitlines()]
    return [" ".join(x.split()[3:]) for x in lines]


ALL = [f"{what} {rate}" for rate in ("0.001", "0.1", "3e+38") for what in ("start", "done")]


def test_the_pilot_picks_the_rate_that_learns(auto, store):
    made = settle(plan(auto), store, ignore)
    small, good, wild = made.arm.pilot.tried
    assert made.arm.pilot.rate == made.schedule.lr == 0.1
    assert good.loss < small.loss < np.log(2) + 0.3
    assert (wild.loss, wild.diverged > 0) == (None, True)
    assert (made.arm.pilot.replicates, made.arm.pilot.epochs) == (4, 2)
    assert fit(made, store, ignore).facts["lr"] == 0.1


def test_a_finished_pilot_is_read_and_not_run_again(auto, store, monkeypatch):
    assert settled(plan(auto), store) is None
    first = settle(plan(auto), store, ignore)
    assert journal(store) == ALL
    monkeypatch.setattr(loop, "train", lambda *a, **k: pytest.fail("a second pilot"))
    for other in (
        auto,
        replace(auto, interventions=(DP,)),
        replace(auto, interventions=(RELEASE,)),
        replace(auto, interventions=(DP,), control="matched"),
        replace(auto, control="reseed", reseeds=3),
        replace(auto, protocol=Protocol(replicates=2)),
        replace(auto, training=replace(auto.training, lr_grid=GRID[::-1])),
    ):
        assert settle(plan(other), store, ignore).arm.pilot == first.arm.pilot
        assert settled(plan(other), store).arm.pilot == first.arm.pilot
    assert journal(store) == ALL


def test_another_recipe_has_another_pilot(auto):
    base = plan(auto).pilot_id
    for other in (
        replace(auto, seed=1),
        replace(auto, protocol=replace(auto.protocol, inclusion="all")),
        replace(auto, training=replace(auto.training, lr_grid=(0.1, 0.001))),
        replace(auto, training=replace(auto.training, lr_pilot_share=0.25)),
        replace(auto, training=replace(auto.training, momentum=0.5)),
        replace(auto, training=replace(auto.training, regime="memorising")),
    ):
        assert plan(other).pilot_id != base


def test_a_killed_pilot_goes_on_with_the_rates_that_are_missing(auto, store, monkeypatch):
    whole = settle(plan(auto), Store(auto.output_dir / "whole"), ignore).arm.pilot
    true = piloting._try_rate

    def killed(plan, rate, progress):
        if rate > 1:
            raise KeyboardInterrupt
        return true(plan, rate, progress)

    monkeypatch.setattr(piloting, "_try_rate", killed)
    with pytest.raises(KeyboardInterrupt):
        settle(plan(auto), store, ignore)
    assert settled(plan(auto), store) is None
    monkeypatch.setattr(piloting, "_try_rate", true)
    assert settle(plan(auto), store, ignore).arm.pilot == whole
    assert journal(store) == [*ALL[:4], "start 3e+38", *ALL[4:]]


def test_a_damaged_pilot_is_run_again_to_the_same_choice(auto):
    said = []
    store = Store(auto.output_dir, warn=said.append)
    first = settle(plan(auto), store, ignore)
    path = store.pilot_dir(first.pilot_id) / "pilot.json"
    path.write_text(path.read_text().replace("0.001", "0.002"))
    again = settle(plan(auto), store, ignore)
    assert again.arm.pilot == first.arm.pilot
    assert again.arm_id == first.arm_id
    assert any("pilot.json is damaged" in text for text in said)
    assert journal(store) == ALL * 2


def test_the_pilot_trains_replicates_that_are_none_of_the_arms_own(auto, store, monkeypatch):
    seen = []
    true = loop.train

    def watched(trainer, params, *args, **kwargs):
        seen.append((trainer.membership, params["1.weight"].clone()))
        return true(trainer, params, *args, **kwargs)

    monkeypatch.setattr(loop, "train", watched)
    made = settle(plan(auto), store, ignore)
    fit(made, store, ignore)
    (halves, weights), *others, (own_halves, own_weights) = seen
    assert len(seen) == len(GRID) + 1
    for other_halves, other_weights in others:  # rates are compared on the same replicates
        assert (other_halves == halves).all()
        assert (other_weights == weights).all()
    for r in range(4):
        assert not (own_halves == halves[r]).all(1).any()
        assert not (own_weights == weights[r]).flatten(1).all(1).any()


def test_every_arm_of_a_contrast_has_the_baselines_rate(auto, store):
    made = settle(plan(replace(auto, interventions=(INHERITS,))), store, ignore)
    baseline, twin = made.baseline(), made.reseeded(1)
    matched = plan(replace(made.arm, control="matched"))
    for other in (made, baseline, twin, *matched.stopped(), matched):
        assert other.schedule.lr == 0.1
        assert not other.arm.undecided
    assert made.rule().schedule.lr == 0.1
    assert baseline.arm_id == settle(plan(auto), store, ignore).arm_id


def test_a_method_with_a_rate_of_its_own_keeps_it(auto, store):
    made = settle(plan(replace(auto, interventions=(DP,))), store, ignore)
    assert made.rule().schedule.lr == DP.plugin.lr == 1.0
    assert fit(made, store, ignore).facts["lr"] == 1.0
    said = made.recorded_pilot.line()
    assert said == "the method's own; the 0.1 that a pilot chose is for other arms"
    inheriting = settle(plan(replace(auto, interventions=(INHERITS,))), store, ignore)
    assert inheriting.recorded_pilot.line().startswith("0.1, chosen by a pilot")


def test_the_id_of_an_arm_depends_on_the_grid_and_on_the_rate_chosen(auto, store):
    undecided = plan(auto)
    with pytest.raises(ValueError, match="learning rate is not chosen yet"):
        undecided.arm_id  # noqa: B018
    made = settle(undecided, store, ignore)
    other = replace(made.arm, pilot=made.arm.pilot.model_copy(update={"rate": 0.001}))
    wider = replace(made.arm, training=replace(auto.training, lr_grid=(*GRID, 0.2)))
    fixed = replace(auto, training=fixed_rate(auto.training))
    plans = [made, *map(plan, (other, wider, fixed))]
    assert len({p.arm_id for p in plans}) == len({p.fit_id for p in plans}) == 4


def test_the_record_says_what_was_chosen_and_from_what(auto, store):
    outcome = job.run(auto, ignore)
    assert outcome.status == "ok"
    record = store.read(outcome.arm_id)
    assert record.pilot == settled(plan(auto), store).arm.pilot
    assert record.arm.training["lr"] == "auto"
    assert record.arm.training["lr_grid"] == sorted(GRID)
    assert job.run(auto, ignore).reused
    assert job.find_finished(replace(auto, seed=5)) is None
    assert _arm_id(auto) == outcome.arm_id
    assert _arm_id(replace(auto, seed=5)) is None
    fixed = job.run(replace(auto, training=fixed_rate(auto.training)), ignore)
    assert store.read(fixed.arm_id).pilot is None
    assert "lr_grid" not in store.read(fixed.arm_id).arm.training


def test_a_grid_of_diverging_rates_is_refused_once_and_for_all(auto, monkeypatch):
    wild = replace(auto, training=replace(auto.training, lr_grid=(3e38, 1e38)))
    first = job.run(wild, ignore)
    assert (first.status, first.arm_id, first.user_error) == ("refused", None, True)
    assert "at every rate of training.lr_grid (1e+38, 3e+38) replicates" in first.reason
    assert not (auto.output_dir / "arms").exists()
    monkeypatch.setattr(loop, "train", lambda *a, **k: pytest.fail("a second pilot"))
    assert job.run(wild, ignore).reason == first.reason


@pytest.mark.parametrize("inclusion", ["half", "all"])
def test_the_ledger_says_that_a_pilot_chose_the_rate(auto, inclusion, store):
    protocol = replace(auto.protocol, inclusion=inclusion)
    arm = replace(auto, interventions=(INHERITS,), protocol=protocol)
    [claim] = assumed(plan(arm)).guarantees
    [own] = assumed(plan(replace(arm, interventions=(DP,)))).guarantees
    rate = "validation rows (training.lr=auto: the learning rate, chosen by a pilot on the"
    assert any(text.startswith(rate) for text in claim.not_covered)
    assert own.void is None
    assert "pilot" not in own.line(), "its rate is its own"
    if inclusion == "half":
        assert claim.void is None
        assert "gradients of a pilot on rows of the training pool (training.lr=auto)" in (
            claim.assumed_public
        )
    else:
        assert "these are the members' own rows" in claim.void
    [fixed] = plan(replace(arm, training=fixed_rate(arm.training))).guarantees
    assert "pilot" not in fixed.line()


def test_equal_arms_are_found_before_their_rate_is_chosen(auto):
    assert first_equal([auto, replace(auto, interventions=(DP,)), auto]) == [0, 1, 0]
