"""A first fit on the same members: what methods see of it, where it is kept, what it spends."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.unit.arm_toys import DP, ignore
from trustbench.config.arms import Chosen
from trustbench.contracts import Intervention, Read
from trustbench.contracts.aspects import Aspect
from trustbench.execution.fit import fit
from trustbench.execution.plan import plan
from trustbench.methods.privacy import ledger
from trustbench.store.records import Store


@dataclass(frozen=True)
class Distilled(Intervention):
    """Trains on the first fit's probabilities."""

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    needs: ClassVar = frozenset({"first_fit"})
    reads_rows: ClassVar = ()
    seen: ClassVar[list] = []

    def perturb(self, batch, forward, problem):
        self.seen.append(batch)
        return batch.X

    def objective(self, loss, logits, batch):
        target = batch.first.softmax(-1)
        return -(target * F.log_softmax(logits[:, :, 0], -1)).sum(-1)


@dataclass(frozen=True)
class Sanitised(Intervention):
    """Leaves out members whose label the first fit does not believe."""

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = (Read("members", "labels that a first fit finds", into="training"),)
    seen: ClassVar[list] = []

    def reweigh(self, problem, members, first):
        self.seen.append((members, first))
        believed = first.logits[members].argmax(1) == problem.rows("train")[1][members]
        return believed / believed.mean()


@dataclass(frozen=True)
class Flipped(Intervention):
    """Flips every fourth label of the pool."""

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = ()

    def labels(self, problem):
        y = problem.rows("train")[1].copy()
        y[::4] = 1 - y[::4]
        return y


def chosen(*methods):
    return tuple(Chosen(type(m).__name__.lower(), m) for m in methods)


def trained(arm, *methods):
    made = plan(replace(arm, interventions=chosen(*methods)))
    return made, fit(made, Store(arm.output_dir), ignore)


def test_the_first_fit_is_the_arm_without_the_methods_that_need_one(arm):
    made, _ = trained(arm, Distilled())
    assert made.first().fit_id == made.baseline().fit_id
    both = plan(replace(arm, interventions=chosen(Distilled(), Sanitised(), Flipped())))
    assert [type(i) for i in both.first().interventions] == [Flipped]
    again = made.reseeded(1)
    assert again.first().fit_id == made.baseline().reseeded(1).fit_id
    assert made.baseline().first() is None


def test_batches_carry_the_logits_of_their_own_rows(arm):
    Distilled.seen.clear()
    made, _ = trained(arm, Distilled())
    first = fit(made.first(), Store(arm.output_dir), ignore).params
    pool, validation = (made.problem.rows(s)[0] for s in ("train", "validation"))
    of = {True: pool, False: validation}
    logits = {k: made.engine.forward(first, torch.as_tensor(X)) for k, X in of.items()}
    kinds = set()
    for batch in Distilled.seen[:9]:
        training = bool((batch.rows >= 0).all())
        rows = batch.rows if training else torch.arange(len(validation)).expand(4, -1)
        kinds.add(training)
        for r in range(4):
            torch.testing.assert_close(batch.first[r], logits[training][r, rows[r]])
    assert kinds == {True, False}


def test_a_replicate_sees_its_own_first_fit_and_learns_from_it(arm):
    Sanitised.seen.clear()
    made, sanitised = trained(arm, Sanitised(), Flipped())
    first = fit(made.first(), Store(arm.output_dir), ignore).params
    X, y, _ = made.problem.rows("train")
    logits = made.engine.forward(first, torch.as_tensor(X)).numpy()
    assert len(Sanitised.seen) == 4
    for r, (members, seen) in enumerate(Sanitised.seen):
        np.testing.assert_array_equal(members, np.flatnonzero(made.membership[r]))
        np.testing.assert_allclose(seen.logits, logits[r], rtol=1e-4, atol=1e-5)
        assert seen.hidden.shape == (len(X), 8)
        W, b = (first[f"3.{n}"][r].numpy() for n in ("weight", "bias"))
        np.testing.assert_allclose(seen.hidden @ W.T + b, logits[r], rtol=1e-4, atol=1e-4)
    _, poisoned = trained(arm, Flipped())
    assert sanitised.accuracy.mean() >= poisoned.accuracy.mean()
    clean = [(first.logits[m].argmax(1) == y[m]).mean() for m, first in Sanitised.seen]
    assert np.mean(clean) > 0.7


def test_a_first_fit_under_dp_spends_what_a_second_training_spends(arm):
    alone, both = (
        plan(replace(arm, interventions=(DP, *chosen(*others)))).guarantees[0]
        for others in ((), (Distilled(),))
    )
    assert both.void is None
    assert "2 x" in both.line()
    assert both.epsilon > 1.2 * alone.epsilon
    (sanitised,) = plan(replace(arm, interventions=(DP, *chosen(Sanitised())))).guarantees
    assert "labels that a first fit finds" in sanitised.void


def test_a_mechanism_that_needs_a_first_fit_of_its_own_claims_nothing(arm):
    reads = DP.plugin.declares(None, plan(arm).schedule, 100)
    entry = ledger.Entry("own", reads, first=True)
    (claim,) = ledger.guarantees([entry], ledger.Setting())
    assert claim.void.startswith("own needs a first fit, which is trained without its mechanism")


@pytest.mark.parametrize("method", [Distilled(), Sanitised()])
def test_what_needs_a_first_fit_says_so(method):
    assert method.first_fit
    assert not Flipped().first_fit
    assert method.accounted
