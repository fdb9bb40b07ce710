"""A method that replaces the test rows at deployment: nothing of the baseline stands for them."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from tests.unit.arm_toys import DISTANCE, Accuracy, Release, ignore, run
from trustbench.config.arms import Chosen
from trustbench.config.identity import evaluation_id
from trustbench.contracts import Evaluator, Intervention, Measured
from trustbench.contracts.aspects import Aspect
from trustbench.errors import ConfigError
from trustbench.execution import job
from trustbench.execution.plan import plan
from trustbench.store.records import Store


@dataclass(frozen=True)
class Shift(Intervention):
    """Moves the inputs of a split (of the test rows) by a constant."""

    by: float = 2.0
    split: str = "test"

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = ()
    deploys: ClassVar[str] = "data"

    def deploy(self, system):
        problem = system.problem
        X = problem.X.copy()
        X[problem.splits[self.split]] += np.float32(self.by)
        return replace(system, problem=replace(problem, X=X))


@dataclass(frozen=True)
class Blind(Accuracy):
    """Declares to read the outputs alone, as a method of before this channel does."""

    reads: ClassVar[frozenset[str]] = frozenset({"forward"})


@dataclass(frozen=True)
class Beside(Evaluator):
    """How far the arm's own outputs on its rows are from the baseline's on the baseline's rows."""

    aspect: ClassVar[None] = None
    needs: ClassVar = frozenset({"baseline"})
    metrics: ClassVar = (DISTANCE,)

    def supports(self, system):
        return None if system.baseline else "the baseline has no baseline"

    def measure(self, system):
        own, other = (s.split_logits("test") for s in (system, system.baseline()))
        gap = (own - other).abs().mean((1, 2)).numpy()
        return Measured((self.measurement("distance", gap, own.shape[1]),))


SHIFT = Chosen("shift", Shift())
BLIND = Chosen("blind", Blind())


def values(record, chosen):
    (found,) = record.evaluations[evaluation_id(chosen)].measurements.values()
    return found.values


def test_shifted_rows_are_measured_anew_by_an_evaluator_that_does_not_ask_for_them(arm):
    arm = replace(arm, evaluators=(BLIND,))
    base, _ = run(arm)
    released, _ = run(replace(arm, interventions=(Chosen("release", Release()),)))
    shifted, _ = run(replace(arm, interventions=(SHIFT,)))
    assert shifted.fit == base.fit
    assert values(released, BLIND) == values(base, BLIND)
    assert np.mean(values(shifted, BLIND)) < np.mean(values(base, BLIND)) - 0.02
    store = Store(arm.output_dir)
    logits = [store.arrays(r.id)["logits"] for r in (base, shifted)]
    assert logits[0].shape == logits[1].shape
    assert np.abs(logits[0] - logits[1]).max() > 0.1


def test_sharing_by_what_is_read_alone_would_hand_over_the_baselines_number(arm, monkeypatch):
    """The fault that the channel closes, planted again."""
    arm = replace(arm, evaluators=(BLIND,))
    base, _ = run(arm)
    monkeypatch.setattr(Blind, "depends_on", property(lambda self: self.reads))
    shifted, _ = run(replace(arm, interventions=(SHIFT,)))
    assert values(shifted, BLIND) == values(base, BLIND)


def test_systems_that_are_compared_answer_on_the_same_rows(arm):
    beside = Chosen("beside", Beside())
    shifted, _ = run(replace(arm, interventions=(SHIFT,), evaluators=(beside,)))
    assert max(values(shifted, beside)) == 0.0, "the same replicates on the same rows"


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (Shift(split="train"), r"Shift changes train of the problem.*hook `inputs`"),
        (Shift(split="calibration"), "Shift changes calibration of the problem"),
    ],
)
def test_no_other_row_is_replaced_at_deployment(arm, method, reason):
    with pytest.raises(ConfigError, match=reason):
        run(replace(arm, interventions=(Chosen("shift", method),)))


def test_a_method_of_another_layer_replaces_no_rows_and_their_number_stays(arm):
    class Late(Shift):
        deploys = "channel"

    class Fewer(Shift):
        def deploy(self, system):
            splits = dict(system.problem.splits)
            splits["test"] = splits["test"][1:]
            return replace(system, problem=replace(system.problem, splits=splits))

    for method, reason in ((Late(), "deploys = 'data'"), (Fewer(), "return as many")):
        with pytest.raises(ConfigError, match=reason):
            run(replace(arm, interventions=(Chosen("shift", method),)))


def test_rows_are_replaced_before_anything_else_is_deployed(arm):
    made = plan(replace(arm, interventions=(Chosen("a", Release()), Chosen("z", Shift()))))
    assert [type(i) for i in made.deployments] == [Shift, Release]
    assert job.run(made.arm, ignore).status == "ok"


@dataclass(frozen=True)
class InPlace(Shift):
    """Changes what it receives, in one of three ways."""

    what: str = "X"

    def deploy(self, system):
        if self.what == "X":
            system.problem.X[system.problem.splits["test"]] += np.float32(self.by)
        elif self.what == "facts":
            system.facts["strength"] = self.by
        else:
            system.set_predictors["mine"] = system.logits
        return system


@pytest.mark.parametrize("what", ["X", "facts", "set_predictors"])
def test_a_change_in_place_is_refused(arm, what):
    before, _ = run(arm)
    with pytest.raises(ConfigError, match=f"the `deploy` of InPlace changes {what} of the system"):
        run(replace(arm, interventions=(Chosen("in_place", InPlace(what=what)),)))
    after, _ = run(replace(arm, output_dir=arm.output_dir / "again"))
    assert after.problem.fingerprint == before.problem.fingerprint, "later arms read the data anew"
    assert values(after, arm.evaluators[0]) == values(before, arm.evaluators[0])


@dataclass(frozen=True)
class OneGroup(Shift):
    """Gives all test rows but one to the first group."""

    def deploy(self, system):
        group = system.problem.group.copy()
        group[system.problem.splits["test"]] = 0
        group[system.problem.splits["test"][0]] = 1
        return replace(system, problem=replace(system.problem, group=group))


def test_a_record_counts_the_groups_of_the_rows_that_were_measured(arm):
    base, _ = run(arm)
    shifted, _ = run(replace(arm, interventions=(Chosen("one_group", OneGroup()),)))
    sizes = [list(r.problem.group_sizes.values()) for r in (base, shifted)]
    assert min(sizes[0]) > 0
    assert sizes[1] == [sum(sizes[0]) - 1, 1]
    assert shifted.problem.fingerprint == base.problem.fingerprint
