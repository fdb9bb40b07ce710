"""Ids: every field is classed, golden ids do not move, order and runtime do not matter."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import ClassVar

from torch import nn

from trustbench.config.arms import IDENTITY, RUNTIME, Arm, Chosen, Protocol, Training
from trustbench.config.identity import arm_id, evaluation_id, fit_id
from trustbench.contracts import Dataset, Evaluator, Intervention, Model
from trustbench.contracts.aspects import Aspect


@dataclass(frozen=True)
class Toy(Dataset):
    rows: int = 10

    def load(self, data_dir, streams):
        raise AssertionError("an id depends on no data")


@dataclass(frozen=True)
class Net(Model):
    hidden: tuple[int, ...] = (4,)

    def build(self, problem):
        return nn.Linear(1, 1)


@dataclass(frozen=True)
class Weights(Intervention):
    strength: float = 1.0
    aspect: ClassVar[Aspect] = Aspect.FAIRNESS

    def weights(self, problem, members):
        return None


@dataclass(frozen=True)
class Release(Intervention):
    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY

    def deploy(self, system):
        return system


@dataclass(frozen=True)
class Accuracy(Evaluator):
    points: int = 5
    aspect: ClassVar[None] = None
    metrics: ClassVar = ()

    def measure(self, system):
        raise AssertionError("an id depends on no measurement")


ARM = Arm(
    dataset=Chosen("toy", Toy()),
    model=Chosen("net", Net()),
    training=Training(regime="tuned", epochs=3, batch_size=8, lr=0.1),
    interventions=(Chosen("weights", Weights()),),
    evaluators=(Chosen("accuracy", Accuracy()),),
    protocol=Protocol(replicates=4),
)


def test_every_field_is_classed_once():
    assert not IDENTITY & RUNTIME
    assert {f.name for f in fields(Arm)} == IDENTITY | RUNTIME


def test_golden_ids():
    """These must NOT be changed: stored records would be orphaned. Raise ID_VERSION instead."""
    assert arm_id(ARM, "data", "stacked") == "feea6cc5042b64d7"
    assert fit_id(ARM, "data", "stacked") == "84918ba68c559f27"
    assert evaluation_id(ARM.evaluators[0]) == "accuracy-80a931f1"


def test_identity_fields_and_only_they_change_the_id():
    base = arm_id(ARM, "data", "stacked")
    for other in (
        replace(ARM, seed=1),
        replace(ARM, control="reseed"),
        replace(ARM, control="reseed", reseeds=2),
        replace(ARM, control="matched", reseeds=2),
        replace(ARM, model=Chosen("net", Net(hidden=(5,)))),
        replace(ARM, interventions=(Chosen("weights", Weights(strength=2.0)),)),
        replace(ARM, protocol=Protocol(replicates=6)),
        replace(ARM, protocol=Protocol(replicates=4, shadows=2)),
        replace(ARM, protocol=Protocol(replicates=4, shadows=2), part="shadows"),
        replace(ARM, training=replace(ARM.training, lr=0.2)),
    ):
        assert arm_id(other, "data", "stacked") != base
    redrawn = replace(ARM, protocol=replace(ARM.protocol, pools=5))
    assert arm_id(redrawn, "data", "stacked") == base, "pools are seeds: one arm is one pool"
    assert arm_id(ARM, "other data", "stacked") != base
    assert arm_id(ARM, "data", "opacus") != base
    for same in (
        replace(ARM, device="cpu", threads=2, output_dir=Path("elsewhere")),
        replace(ARM, evaluators=(), tracking_uri="http://localhost", experiment="x"),
    ):
        assert arm_id(same, "data", "stacked") == base


def test_the_order_of_interventions_does_not_matter():
    a, b = Chosen("weights", Weights()), Chosen("release", Release())
    first = replace(ARM, interventions=(a, b))
    assert arm_id(first, "d", "stacked") == arm_id(
        replace(ARM, interventions=(b, a)), "d", "stacked"
    )


def test_arms_that_differ_in_deployment_only_share_their_fit():
    plain = replace(ARM, interventions=())
    released = replace(ARM, interventions=(Chosen("release", Release()),))
    assert fit_id(plain, "d", "stacked") == fit_id(released, "d", "stacked")
    assert arm_id(plain, "d", "stacked") != arm_id(released, "d", "stacked")
    assert fit_id(ARM, "d", "stacked") != fit_id(plain, "d", "stacked")


def test_shadows_have_a_fit_of_their_own_and_leave_that_of_the_replicates():
    more = replace(ARM, protocol=replace(ARM.protocol, shadows=6))
    own = replace(more, part="shadows")
    assert fit_id(more, "d", "stacked") == fit_id(ARM, "d", "stacked")
    assert fit_id(own, "d", "stacked") != fit_id(ARM, "d", "stacked")
    six = replace(ARM, protocol=replace(ARM.protocol, replicates=6))
    assert fit_id(own, "d", "stacked") != fit_id(six, "d", "stacked"), "not the first six"


def test_an_evaluator_is_keyed_by_its_settings():
    a, b = (evaluation_id(Chosen("accuracy", Accuracy(points=k))) for k in (5, 6))
    assert a != b
    assert a.startswith("accuracy-")
