"""Twins and channels: what evaluators and hooks see of a deployed arm."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from tests.unit.arm_toys import ACCURACY, DISTANCE, DP, Accuracy, Release, ignore, run
from trustbench.config.arms import Chosen
from trustbench.config.identity import evaluation_id
from trustbench.contracts import Evaluator, Intervention, Measured
from trustbench.contracts.aspects import Aspect
from trustbench.execution import job
from trustbench.execution.deploy import deployed
from trustbench.execution.plan import plan
from trustbench.store.records import Store


def test_a_deployed_channel_shares_the_trained_replicates(arm):
    base, _ = run(arm)
    released, _ = run(replace(arm, interventions=(Chosen("release", Release()),)))
    assert released.fit == base.fit
    assert released.id != base.id
    key = evaluation_id(ACCURACY)
    assert (
        released.evaluations[key].measurements["accuracy"].values
        == base.evaluations[key].measurements["accuracy"].values
    )


@dataclass(frozen=True)
class Twins(Evaluator):
    """How far apart an arm and its reseeded twin are, and whether they share data."""

    aspect: ClassVar[None] = None
    needs: ClassVar = frozenset({"reseed"})
    metrics: ClassVar = (DISTANCE,)

    def measure(self, system):
        twin = system.reseeded(1)
        assert (twin.membership == system.membership).all()
        X = system.tensor(system.problem.rows("test")[0])
        gap = (twin.logits(X) - system.logits(X)).abs().mean((1, 2)).numpy()
        return Measured((self.measurement("distance", gap, len(X)),))


@pytest.mark.parametrize("control", ["none", "reseed", "matched"])
def test_every_arm_has_twins_on_its_own_halves(arm, control):
    twins = replace(
        arm, interventions=(DP,), control=control, evaluators=(Chosen("twins", Twins()),)
    )
    outcome = job.run(twins, ignore)
    record = Store(arm.output_dir).read(outcome.arm_id)
    assert outcome.status == "ok", outcome.reason
    (evaluation,) = record.evaluations.values()
    assert min(evaluation.measurements["distance"].values) > 0
    made, store = plan(twins), Store(arm.output_dir)
    twin, other = (deployed(made.reseeded(k), store, ignore) for k in (1, 2))
    again = deployed(made.reseeded(1).reseeded(1), store, ignore)
    assert again.facts == other.facts, "draws are counted from the arm on"
    X = twin.tensor(twin.problem.rows("test")[0])
    assert (twin.logits(X) - other.logits(X)).abs().mean((1, 2)).min() > 0


@dataclass(frozen=True)
class Narrow(Accuracy):
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})


def test_a_release_takes_over_what_it_does_not_change(arm, monkeypatch):
    """The baseline's evaluation is not computed again where no channel that it reads changed."""
    measured = []
    original = Accuracy.measure
    monkeypatch.setattr(
        Accuracy, "measure", lambda self, system: measured.append(self) or original(self, system)
    )
    narrow, wide = Chosen("narrow", Narrow()), Chosen("wide", Accuracy())
    both = replace(arm, evaluators=(narrow, wide))
    job.run(both, ignore)
    released = replace(both, interventions=(Chosen("release", Release()),))
    outcome = job.run(released, ignore)
    assert [type(m) for m in measured] == [Narrow, Accuracy, Accuracy]
    store = Store(arm.output_dir)
    found = store.read(outcome.arm_id).evaluations
    values = [next(iter(e.measurements.values())).values for e in found.values()]
    assert values[0] == values[1]
    assert {k for k in store.arrays(outcome.arm_id) if k.startswith("narrow")}
    trained = replace(both, interventions=(DP,))
    job.run(trained, ignore)
    assert [type(m) for m in measured[3:]] == [Narrow, Accuracy], "a retrained arm measures anew"


@dataclass(frozen=True)
class Doubled(Intervention):
    """Adds the logits of its twin to its own."""

    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    deploys: ClassVar[str] = "outputs"

    def deploy(self, system):
        twin = system.reseeded(1)
        return replace(system, forward=lambda X: system.forward(X) + twin.forward(X))


@dataclass(frozen=True)
class Compared(Evaluator):
    """Replicate and twin, both as deployed: (own + twin 1) and (twin 1 + twin 2)."""

    aspect: ClassVar[None] = None
    needs: ClassVar = frozenset({"reseed"})
    metrics: ClassVar = (DISTANCE,)

    def measure(self, system):
        X = system.tensor(system.problem.rows("test")[0])
        gap = (system.reseeded(1).logits(X) - system.logits(X)).abs().mean((1, 2)).numpy()
        return Measured((self.measurement("distance", gap, len(X)),))


def test_hooks_see_bare_twins_and_evaluators_deployed_ones(arm):
    plain = replace(arm, evaluators=(Chosen("compared", Compared()),))
    doubled = replace(plain, interventions=(Chosen("doubled", Doubled()),))
    store = Store(arm.output_dir)
    gaps = []
    for each in (plain, doubled):
        outcome = job.run(each, ignore)
        assert outcome.status == "ok", outcome.reason
        (evaluation,) = store.read(outcome.arm_id).evaluations.values()
        gaps.append(evaluation.measurements["distance"].values)
    assert min(gaps[1]) > 0
    assert gaps[0] != gaps[1], "the twin that was compared was deployed"


@dataclass(frozen=True)
class OtherRelease(Release):
    """Another explainer for the same channel."""


def test_two_methods_that_fill_one_channel_are_refused(arm):
    both = (Chosen("a", Release()), Chosen("b", OtherRelease()))
    outcome = job.run(replace(arm, interventions=both), ignore)
    assert outcome.status == "unsupported"
    assert "both fill the `explainer` channel" in outcome.reason
