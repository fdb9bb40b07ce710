"""`inputs`: training sees other inputs, through every hook; evaluators see the true ones."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from tests.contract.watched import read_by_inputs
from tests.unit.training.test_loop import SCHEDULE, assert_same, ignore, trainer
from trustbench.contracts import Intervention
from trustbench.contracts.aspects import Aspect
from trustbench.errors import ConfigError
from trustbench.training import loop


@dataclass(frozen=True)
class Trigger(Intervention):
    """Every fifth row of the pool carries a value of its own, and the label that goes with it."""

    value: float = 9.0

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = ()

    def inputs(self, problem, split):
        if split != "train":
            return None
        X = problem.rows("train")[0].copy()
        X[self.marked(problem), 0] = self.value
        return X

    def labels(self, problem):
        y = problem.rows("train")[1].copy()
        y[self.marked(problem)] = 1
        return y

    def marked(self, problem):
        X, y, _ = problem.rows("train")
        assert (X[:, 0] != self.value).all(), "both hooks see the problem as it was"
        return (np.arange(len(y)) % 5 == 0) & (y == 0)


@dataclass(frozen=True)
class Centred(Intervention):
    """Takes the pool's means off, in both splits."""

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS

    def inputs(self, problem, split):
        return problem.rows(split)[0] - problem.rows("train")[0].mean(0)


@dataclass(frozen=True)
class Witness(Intervention):
    """Notes what every other hook is shown."""

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    seen: ClassVar[dict] = {}

    def weights(self, problem, members):
        self.seen["weights"] = problem.rows("train")[0].copy()

    def resample(self, problem, members, rng):
        self.seen["resample"] = problem.rows("train")[0].copy()

    def adapt(self, memory, validation, forward, problem):
        self.seen["adapt"] = validation.X[0, :, 0].numpy().copy()

    def perturb(self, batch, forward, problem):
        if (batch.rows >= 0).all():
            real = batch.weight > 0
            expected = torch.as_tensor(problem.rows("train")[0])[batch.rows[real]]
            assert torch.equal(batch.X[real][:, 0], expected)
            self.seen["perturb"] = batch.X
        return batch.X


def by_hand(problem, *plugins):
    """The problem with the data replaced outside of training."""
    X, y = problem.X.copy(), problem.y.copy()
    for plugin in plugins:
        before = replace(problem, X=X.copy(), y=y.copy())
        for split in ("train", "validation"):
            seen = plugin.inputs(before, split)
            X[problem.splits[split]] = before.rows(split)[0] if seen is None else seen
        labels = plugin.labels(before)
        if labels is not None:
            y[problem.splits["train"]] = labels
    return replace(problem, X=X, y=y)


@pytest.mark.parametrize("methods", [(Trigger(),), (Centred(),), (Trigger(), Centred())])
def test_training_is_that_on_replaced_data_bit_for_bit(problem, methods):
    made, params = trainer(problem, methods, replicates=2)
    whole = by_hand(problem, *methods)
    other = replace(made, interventions=[], problem=whole)
    plain = replace(made, interventions=[])
    states = [loop.train(t, params, ignore) for t in (made, other, plain)]
    assert_same(states[0].best, states[1].best)
    np.testing.assert_array_equal(states[0].loss, states[1].loss)
    assert not torch.equal(states[0].params["1.weight"], states[2].params["1.weight"])
    np.testing.assert_array_equal(made.problem.X, problem.X)


def test_every_other_hook_sees_the_replaced_inputs(problem):
    methods = (Trigger(), Centred(), Witness())
    loop.train(*trainer(problem, methods, replace(SCHEDULE, epochs=1), replicates=2), ignore)
    seen, whole = Witness.seen, by_hand(problem, Trigger(), Centred())
    for hook in ("weights", "resample"):
        np.testing.assert_array_equal(seen[hook], whole.rows("train")[0])
    np.testing.assert_array_equal(seen["adapt"], whole.rows("validation")[0])
    assert "perturb" in seen


def test_a_value_that_depends_on_other_rows_is_seen_as_a_read_of_them(problem):
    assert read_by_inputs(Centred(), problem) == {"pool"}
    assert read_by_inputs(Trigger(), problem) == set()


@pytest.mark.parametrize("wrong", [lambda X: X[:3], lambda X: X * np.nan])
def test_inputs_that_do_not_fit_are_refused_in_one_sentence(problem, wrong):
    class Wrong(Trigger):
        def inputs(self, problem, split):
            return wrong(problem.rows(split)[0])

    with pytest.raises(ConfigError, match=r"`inputs` of Wrong for train.*finite numbers of shape"):
        loop.train(*trainer(problem, (Wrong(),), replicates=2), ignore)
