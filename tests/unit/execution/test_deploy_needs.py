"""Trained models that a plugin takes in its `deploy` hook: counted, or the claim is void."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from tests.unit.arm_toys import DP, run
from trustbench.config.arms import Chosen
from trustbench.contracts import Intervention
from trustbench.contracts.aspects import Aspect
from trustbench.execution.plan import plan
from trustbench.methods.privacy.accounting import spent


@dataclass(frozen=True)
class Copying(Intervention):
    """Answers with the mean of this arm and of a model that it copies out of the system."""

    source: str = "twin"
    copies: int = 1
    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    deploys: ClassVar = "outputs"
    reads_rows: ClassVar = ()

    def trained_copies(self):
        return self.copies

    def deploy(self, system):
        other = system.baseline() if self.source == "baseline" else system.reseeded(1)
        own, copied = system.forward, other.forward  # of the system nothing is kept
        return replace(system, forward=lambda X: (own(X) + copied(X)) / 2)


class Late(Copying):
    """Takes the other model only when it is asked for an answer."""

    def deploy(self, system):
        own = system.forward
        return replace(system, forward=lambda X: own(X) + system.reseeded(1).forward(X))


def private(arm, method):
    return replace(arm, interventions=(DP, Chosen("copying", method)))


def test_a_copy_that_is_declared_is_composed(arm):
    made = private(arm, Copying(copies=2))
    record, _ = run(made)
    [claim] = record.privacy
    [alone] = plan(replace(arm, interventions=(DP,))).guarantees
    mechanism = plan(made).rule().read.mechanism
    assert claim.void is None
    assert claim.epsilon == spent([mechanism] * 2, claim.delta).epsilon
    assert claim.epsilon > 1.3 * alone.epsilon
    assert record.facts["epsilon"] == claim.epsilon


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (Copying(), "Copying answers with 2 trained copies and declares 1"),
        (Copying(copies=3), "Copying answers with 2 trained copies and declares 3"),
        (Copying(source="baseline"), "answers with the baseline, which was trained without"),
    ],
)
def test_a_copy_that_is_not_declared_voids_the_claim(arm, method, reason):
    record, _ = run(private(arm, method))
    [claim] = record.privacy
    assert reason in claim.void
    assert claim.epsilon is None
    assert not {"epsilon", "delta", "accountant"} & set(record.facts)
    again, reused = run(private(arm, method))
    assert reused
    assert again.privacy == record.privacy


def test_a_copy_taken_after_the_hook_is_refused(arm):
    with pytest.raises(RuntimeError, match="after its `deploy` hook has returned"):
        run(private(arm, Late()))


def test_the_copies_answer(arm):
    """The deployments above are what they claim to be: another model changes the answers."""
    first, _ = run(replace(arm, interventions=(DP,)))
    second, _ = run(private(arm, Copying(copies=2)))
    ours, theirs = (next(iter(r.evaluations.values())).measurements for r in (first, second))
    assert first.fit == second.fit
    assert not torch.equal(*(torch.tensor(m["accuracy"].values) for m in (ours, theirs)))
