"""Everything that trains does so before the first evaluator runs, and says what it trains."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from tests.unit.arm_toys import ACCURACY, DP, Accuracy, ignore
from trustbench.config.arms import Chosen
from trustbench.execution import job
from trustbench.execution.arm import run_arm
from trustbench.store.records import Store
from trustbench.training import loop


@dataclass(frozen=True)
class Compares(Accuracy):
    """Asks for every other system that a treated arm may have."""

    needs: ClassVar = frozenset({"baseline", "reseed", "baseline_reseed", "shadows"})

    def measure(self, system):
        baseline = system.baseline() if system.baseline else system
        others = [system.reseeded(1), baseline.reseeded(1), system.shadows(), baseline]
        assert all(o.split_logits("test") is not None for o in others)
        return super().measure(system)


@dataclass(frozen=True)
class Silent(Compares):
    """Asks for them as well, and does not say so."""

    needs: ClassVar = frozenset()


def stages(arm):
    """What progress says, without repetitions, and how often the loop ran until each stage."""
    said = []

    def progress(stage, *_):
        if not said or said[-1] != stage:
            said.append(stage)

    run_arm(arm, Store(arm.output_dir), progress)
    return said


def test_an_arm_trains_all_it_needs_before_it_measures(arm):
    compares = Chosen("compares", Compares())
    shadowed = replace(
        arm, evaluators=(ACCURACY, compares), protocol=replace(arm.protocol, shadows=2)
    )
    assert stages(replace(shadowed, interventions=(DP,))) == [
        "train",
        "train reference (another seed)",
        "train models that attack",
        "train reference (the baseline)",
        "train reference (the baseline, another seed)",
        "accuracy",
        "compares",
        "done",
    ]
    assert stages(shadowed) == ["train models that attack", "accuracy", "compares", "done"], (
        "what the treated arm has trained is read"
    )


def test_nothing_is_trained_for_evaluators_that_are_not_measured(arm, monkeypatch):
    @dataclass(frozen=True)
    class Refuses(Compares):
        def supports(self, system):
            return "not here"

    trained = []
    original = loop.train
    monkeypatch.setattr(loop, "train", lambda *a, **k: trained.append(1) or original(*a, **k))
    run_arm(
        replace(arm, interventions=(DP,), evaluators=(Chosen("refuses", Refuses()), ACCURACY)),
        Store(arm.output_dir),
        ignore,
    )
    assert len(trained) == 1


@pytest.mark.parametrize("control", ["none", "reseed"])
def test_an_evaluator_that_does_not_declare_what_it_needs_fails_with_the_way_out(arm, control):
    silent = replace(arm, control=control, evaluators=(Chosen("silent", Silent()),))
    outcome = job.run(silent, ignore)
    assert outcome.status == "failed"
    assert "list it in the class attribute `needs`" in outcome.reason
