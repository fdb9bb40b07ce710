"""`schedule`: a method changes epochs, weight decay or the rate; nothing overrides it silently."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch

from tests.unit.arm_toys import DP, ignore
from trustbench.config.arms import Chosen, Training
from trustbench.contracts import Intervention
from trustbench.contracts.aspects import Aspect
from trustbench.errors import Unsupported
from trustbench.execution.fit import fit
from trustbench.execution.pilot import assumed
from trustbench.execution.plan import plan, refuse_impossible
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.store.records import Store


@dataclass(frozen=True)
class Sets(Intervention):
    """Sets one field of the schedule."""

    field: str = "weight_decay"
    value: Any = 0.05

    aspect: ClassVar[Aspect] = Aspect.PRIVACY
    dose: ClassVar[tuple[str, ...]] = ("value",)
    reads_rows: ClassVar = ()

    def schedule(self, schedule):
        return replace(schedule, **{self.field: self.value})


def sets(field, value, name="decay"):
    return Chosen(name, Sets(field, value))


def params(arm, *interventions, **training):
    arm = replace(arm, interventions=interventions, training=replace(arm.training, **training))
    made = plan(arm)
    refuse_impossible(made)
    return made, fit(made, Store(arm.output_dir), ignore)


@pytest.mark.parametrize(("field", "value"), [("weight_decay", 0.05), ("epochs", 2), ("lr", 0.02)])
def test_a_dose_trains_what_the_training_option_would(arm, field, value):
    made, dosed = params(arm, sets(field, value))
    other, given = params(arm, **{field: value})
    _, plain = params(arm)
    assert made.fit_id != other.fit_id
    assert made.schedule == other.schedule
    for name, p in dosed.params.items():
        assert torch.equal(p, given.params[name])
    assert any(not torch.equal(p, plain.params[name]) for name, p in dosed.params.items())


def test_weight_decay_holds_beside_dp_and_the_claim_is_of_the_dosed_epochs(arm):
    inherits = Chosen("dpsgd", replace(DP.plugin, epochs=None))
    made, _ = params(arm, inherits, sets("epochs", 2))
    assert made.rule().schedule.epochs == 2
    assert made.guarantees[0].void is None
    longer = plan(replace(arm, interventions=(inherits,)))
    assert made.rule().steps < longer.rule().steps
    params(arm, DP, sets("weight_decay", 0.05))


@pytest.mark.parametrize(
    ("interventions", "reason"),
    [
        ((DP, sets("epochs", 2)), r"decay sets epochs=2, but dpsgd trains with epochs=4"),
        ((sets("lr", 0.2), sets("lr", 0.3, "other")), "decay and other both set lr"),
        ((sets("regime", "memorising"),), "belongs to the arm"),
    ],
)
def test_a_dose_that_would_have_no_effect_is_refused(arm, interventions, reason):
    with pytest.raises(Unsupported, match=reason):
        params(arm, *interventions)


def test_an_arm_with_a_rate_of_its_own_trains_at_no_pilots_rate(arm):
    auto = replace(arm, training=replace(Training(**vars(arm.training)), lr="auto"))
    decays = assumed(plan(replace(auto, interventions=(sets("weight_decay", 0.1),))))
    assert decays.piloted
    assert not assumed(plan(replace(auto, interventions=(sets("lr", 0.1),)))).piloted
    private = Chosen("dpsgd", DPSGD(noise_multiplier=1.0, epsilon=None, epochs=2, lr=None))
    assert not assumed(plan(replace(auto, interventions=(private, sets("lr", 0.1))))).piloted
