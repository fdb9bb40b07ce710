"""Weight decay and early stopping change the schedule alone, and loosen what was memorised."""

from dataclasses import replace

from tests.unit.training.test_loop import ignore, trainer
from trustbench.contracts import Schedule
from trustbench.interventions.privacy.early_stopping import EarlyStopping
from trustbench.interventions.privacy.weight_decay import WeightDecay
from trustbench.training import loop

FULL = Schedule("memorising", epochs=41, batch_size=32, lr=0.1, weight_decay=0.0)


def test_each_changes_its_own_field():
    assert WeightDecay(0.02).schedule(FULL) == replace(FULL, weight_decay=0.02)
    assert EarlyStopping(0.25).schedule(FULL) == replace(FULL, epochs=11)
    assert EarlyStopping(0.01).schedule(FULL).epochs == 1


def test_weights_shrink(problem):
    def size(schedule):
        made, params = trainer(problem, (), schedule, replicates=2)
        best = loop.train(made, params, ignore).best
        return sum(float(p.square().sum()) for p in best.values())

    assert size(WeightDecay(0.05).schedule(FULL)) < 0.5 * size(FULL)
    assert size(EarlyStopping(0.1).schedule(FULL)) < size(FULL)
