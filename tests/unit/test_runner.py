"""One arm from plan to record: reuse, resume, controls, and failures that stay contained."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from torch import nn

from tests.conftest import make_problem
from trustbench import job, runner, tracking
from trustbench.arms import Arm, Chosen, Protocol, Training
from trustbench.aspects import Aspect
from trustbench.contracts import Dataset, Evaluator, Intervention, Measured, Measurement, Model
from trustbench.errors import DataError
from trustbench.fitting import fit
from trustbench.identity import evaluation_id
from trustbench.interventions.dpsgd import DPSGD
from trustbench.planning import plan
from trustbench.records import Store
from trustbench.training import fits


@dataclass(frozen=True)
class Toy(Dataset):
    rows: int = 600

    def load(self, data_dir, streams):
        if self.rows < 10:
            raise DataError(f"rows={self.rows} is too small; give at least 10.")
        return make_problem(n=self.rows)


@dataclass(frozen=True)
class Net(Model):
    def build(self, problem):
        return nn.Sequential(
            nn.Flatten(), nn.Linear(problem.n_features, 8), nn.Tanh(), nn.Linear(8, 2)
        )


@dataclass(frozen=True)
class Accuracy(Evaluator):
    points: int = 0
    aspect: ClassVar[None] = None

    def measure(self, system):
        y = system.problem.rows("test")[1]
        right = system.split_logits("test").argmax(-1).numpy() == y
        m = Measurement("accuracy", right.mean(1), True, "fraction", len(y), 0.0, 1.0)
        return Measured((m,), arrays={"right": right}, missing={"auc": "not asked"})


@dataclass(frozen=True)
class Transfer(Evaluator):
    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS

    def supports(self, system):
        return None if system.baseline else "the baseline has no baseline"

    def measure(self, system):
        X = system.tensor(system.problem.rows("test")[0])
        gap = (system.baseline().forward(X) - system.logits(X)).abs().mean((1, 2)).numpy()
        return Measured((Measurement("distance", gap, False, "logits", len(X)),))


@dataclass(frozen=True)
class Crash(Evaluator):
    aspect: ClassVar[None] = None

    def measure(self, system):
        raise ZeroDivisionError("a bug of ours")


@dataclass(frozen=True)
class Release(Intervention):
    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY

    def deploy(self, system):
        return replace(system, explainer=lambda X, repeat: X.expand(system.replicates, *X.shape))


@dataclass(frozen=True)
class Coupled(Intervention):
    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    per_example: ClassVar[bool] = False

    def objective(self, loss, logits, batch):
        return loss + loss.mean(1, keepdim=True)


DP = Chosen("dpsgd", DPSGD(epsilon=4.0, epochs=4, batch_size=32))
ACCURACY = Chosen("accuracy", Accuracy())


@pytest.fixture
def arm(tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "log_record", lambda *a, **k: None)
    return Arm(
        dataset=Chosen("toy", Toy()),
        model=Chosen("net", Net()),
        training=Training(regime="tuned", epochs=4, batch_size=32, lr=0.1, snapshots=6),
        interventions=(),
        evaluators=(ACCURACY,),
        protocol=Protocol(replicates=4),
        output_dir=tmp_path,
        data_dir=Path("nowhere"),
    )


def ignore(*_):
    pass


def run(arm):
    return runner.run(plan(arm), Store(arm.output_dir), ignore)


def test_a_record_holds_everything_the_arm_produced(arm):
    record, reused = run(arm)
    assert (record.status, reused) == ("ok", False)
    evaluation = record.evaluations[evaluation_id(ACCURACY)]
    assert len(evaluation.measurements["accuracy"].values) == 4
    assert evaluation.missing == {"auc": "not asked"}
    arrays = Store(arm.output_dir).arrays(record.id)
    assert arrays["logits"].shape == (4, 180, 2)
    right = arrays[f"{evaluation_id(ACCURACY)}/right"].mean(1)
    np.testing.assert_allclose(right, evaluation.measurements["accuracy"].values)
    assert record == Store(arm.output_dir).read(record.id)
    assert record.problem.sizes["members"] == 120
    assert record.facts["engine"] == "stacked"


def test_a_finished_arm_is_reused_and_a_started_one_is_retried(arm):
    record, _ = run(arm)
    assert run(arm) == (record, True)
    store = Store(arm.output_dir)
    store.write(record.model_copy(update={"status": "started", "evaluations": {}}))
    again, reused = run(arm)
    assert not reused
    assert again.evaluations.keys() == record.evaluations.keys()


def test_an_evaluator_is_added_without_training_or_measuring_again(arm):
    first, _ = run(arm)
    fit_file = Store(arm.output_dir).fit_dir(first.fit) / "fit.json"
    before = fit_file.stat().st_mtime_ns
    other = Chosen("accuracy", Accuracy(points=1))
    second, _ = run(replace(arm, evaluators=(ACCURACY, other)))
    assert second.id == first.id
    assert fit_file.stat().st_mtime_ns == before
    assert set(second.evaluations) == {evaluation_id(ACCURACY), evaluation_id(other)}
    assert second.evaluations[evaluation_id(ACCURACY)] == first.evaluations[evaluation_id(ACCURACY)]
    assert len(Store(arm.output_dir).arrays(first.id)) == 3


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


def test_reseed_shares_the_halves_and_nothing_else(arm):
    base, reseed = plan(arm), plan(replace(arm, control="reseed"))
    np.testing.assert_array_equal(base.membership, reseed.membership)
    store = Store(arm.output_dir)
    a, b = fit(base, store, ignore), fit(reseed, store, ignore)
    assert all((a.params[n] != b.params[n]).any() for n in a.params)


def test_matched_stops_the_baseline_at_the_treated_arms_accuracy(arm):
    store = Store(arm.output_dir)
    treated = plan(replace(arm, interventions=(DP,)))
    matched = plan(replace(arm, interventions=(DP,), control="matched"))
    made = fit(matched, store, ignore)
    target = fit(treated, store, ignore).accuracy
    states, accuracy = fits.read_snapshots(store.fit_dir(plan(arm).fit_id), treated.device)
    best = np.abs(accuracy - target).min(axis=0)
    np.testing.assert_allclose(np.abs(made.accuracy - target), best)
    assert made.facts["matched_accuracy_gap"] == pytest.approx(best.mean())
    for r in range(4):
        assert any((states["1.weight"][s, r] == made.params["1.weight"][r]).all() for s in range(6))


def test_the_baseline_is_trained_when_an_evaluator_asks_for_it(arm):
    transfer = Chosen("transfer", Transfer())
    record, _ = run(replace(arm, interventions=(DP,), evaluators=(transfer,)))
    assert min(record.evaluations[evaluation_id(transfer)].measurements["distance"].values) > 0
    base, _ = run(replace(arm, evaluators=(transfer,)))
    evaluation = base.evaluations[evaluation_id(transfer)]
    assert (evaluation.status, evaluation.reason) == ("unsupported", "the baseline has no baseline")


def test_dp_facts_reach_the_record(arm):
    record, _ = run(replace(arm, interventions=(DP,)))
    assert 3.9 < record.facts["epsilon"] <= 4.0
    assert record.facts["accountant"] == "prv"
    assert record.arm.interventions[0].dose == {"epsilon": 4.0}


def test_a_crash_becomes_a_record_and_keeps_what_was_measured(arm, capsys):
    broken = replace(arm, evaluators=(ACCURACY, Chosen("crash", Crash())))
    outcome = job.run(broken, ignore)
    assert (outcome.status, outcome.user_error) == ("failed", False)
    assert outcome.reason == "ZeroDivisionError: a bug of ours"
    assert "Traceback" in capsys.readouterr().err
    record = Store(arm.output_dir).read(outcome.arm_id)
    assert record.status == "failed"
    assert "ZeroDivisionError" in record.traceback
    assert record.evaluations[evaluation_id(ACCURACY)].status == "ok"
    assert job.run(arm, ignore).status == "ok"


def test_bad_data_is_refused_in_one_sentence(arm):
    outcome = job.run(replace(arm, dataset=Chosen("toy", Toy(rows=5))), ignore)
    assert (outcome.status, outcome.user_error) == ("refused", True)
    assert outcome.reason == "rows=5 is too small; give at least 10."


def test_an_impossible_budget_is_refused(arm):
    tiny = Chosen("dpsgd", DPSGD(epsilon=1e-9))
    outcome = job.run(replace(arm, interventions=(tiny,)), ignore)
    assert outcome.status == "refused"
    assert "cannot be reached" in outcome.reason


def test_matched_without_a_treated_arm_is_refused(arm):
    outcome = job.run(replace(arm, control="matched"), ignore)
    assert outcome.status == "refused"
    assert "control=matched needs an intervention" in outcome.reason


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ((DP, Chosen("dpsgd2", DPSGD())), "dpsgd and dpsgd2 both decide the `gradient` hook"),
        ((DP, Chosen("coupled", Coupled())), "coupled couples the examples of a batch"),
    ],
)
def test_impossible_lists_say_why_and_leave_a_record(arm, others, reason):
    outcome = job.run(replace(arm, interventions=others), ignore)
    assert outcome.status == "unsupported"
    assert reason in outcome.reason
    record = Store(arm.output_dir).read(outcome.arm_id)
    assert (record.status, record.reason) == ("unsupported", outcome.reason)


def test_divergence_counts_the_replicates(arm):
    outcome = job.run(replace(arm, training=replace(arm.training, lr=3e38)), ignore)
    record = Store(arm.output_dir).read(outcome.arm_id)
    assert (record.status, record.facts["diverged"]) == ("failed", 4)


def test_an_unreachable_server_costs_nothing(arm, monkeypatch):
    def down(*_, **__):
        raise tracking.TrackingError("the tracking server does not answer.")

    monkeypatch.setattr(tracking, "log_record", down)
    outcome = job.run(arm, ignore)
    assert outcome.status == "ok"
    assert "trustbench sync" in outcome.warning


def test_a_finished_record_survives_a_bug_in_what_comes_after(arm, monkeypatch, capsys):
    def bug(*_, **__):
        raise ZeroDivisionError("in the tracking code")

    monkeypatch.setattr(tracking, "log_record", bug)
    outcome = job.run(arm, ignore)
    assert outcome.status == "failed"
    assert "Traceback" in capsys.readouterr().err
    assert Store(arm.output_dir).read(outcome.arm_id).status == "ok"


def test_failed_and_unsupported_arms_reach_the_tracking_server(arm, monkeypatch, capsys):
    logged = []
    monkeypatch.setattr(tracking, "log_record", lambda *a, **k: logged.append(a[-1].status))
    job.run(replace(arm, evaluators=(Chosen("crash", Crash()),)), ignore)
    job.run(replace(arm, interventions=(DP, Chosen("coupled", Coupled()))), ignore)
    capsys.readouterr()
    assert logged == ["failed", "unsupported"]


@dataclass(frozen=True)
class Twins(Evaluator):
    """How far apart an arm and its reseeded twin are, and whether they share data."""

    aspect: ClassVar[None] = None

    def measure(self, system):
        twin, other = system.reseeded(1), system.reseeded(2)
        assert (twin.membership == system.membership).all()
        assert twin.reseeded(1).facts == other.facts
        X = system.tensor(system.problem.rows("test")[0])
        gap = (twin.logits(X) - system.logits(X)).abs().mean((1, 2)).numpy()
        values = {
            "distance": gap,
            "of_twins": (twin.logits(X) - other.logits(X)).abs().mean((1, 2)),
        }
        return Measured(
            tuple(Measurement(k, np.asarray(v), False, "logits", len(X)) for k, v in values.items())
        )


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
    assert min(evaluation.measurements["of_twins"].values) > 0


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

    def measure(self, system):
        X = system.tensor(system.problem.rows("test")[0])
        gap = (system.reseeded(1).logits(X) - system.logits(X)).abs().mean((1, 2)).numpy()
        return Measured((Measurement("distance", gap, False, "logits", len(X)),))


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
