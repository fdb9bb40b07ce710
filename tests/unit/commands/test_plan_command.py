"""`trustbench plan` says what a run would do, and does none of it."""

import time
from dataclasses import replace

import pytest

from trustbench.api.past_durations import Past
from trustbench.api.plans import planned
from trustbench.commands import cli
from trustbench.config.compose import compose, composed_arm
from trustbench.config.identity import evaluation_id
from trustbench.execution.plan import plan
from trustbench.execution.record import describe
from trustbench.store.records import Evaluation, Store

pytestmark = pytest.mark.usefixtures("handmade_ids")

BASE = ["evaluator=[utility,fairness]", "protocol.replicates=4", "training.epochs=3"]


@pytest.fixture
def tb(tmp_path, capsys):
    """Plans with these overrides on the store in tmp_path; exit code and what is printed."""

    def run(*args):
        capsys.readouterr()
        code = cli.main(["plan", *BASE, f"output_dir={tmp_path / 'out'}", *args])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def arm(*overrides):
    return composed_arm(compose([*BASE, *overrides]))


def evaluation(spec, seconds=1.0):
    return Evaluation(evaluator=spec, status="ok", seconds=seconds)


def stored(tmp_path, *overrides, status="ok", only=None, seconds=10.0, reason=None):
    """Writes the record that a run of this arm leaves; `only` these evaluators have run."""
    made = plan(arm(*overrides))
    done = {
        evaluation_id(e): evaluation(e.spec(), seconds=2.5)
        for e in made.arm.evaluators
        if only is None or e.name in only
    }
    record = describe(made, status, reason=reason, evaluations=done)
    record = record.model_copy(update={"seconds": seconds})
    Store(tmp_path / "out").write(record)
    return record


def test_a_plan_writes_nothing(tb, tmp_path):
    code, out, _ = tb("-m", "intervention=none,dpsgd")
    assert code == 0
    assert "2 arms: 2 to do" in out
    assert "unknown for 2" in out
    assert list(tmp_path.iterdir()) == []


def test_each_arm_has_its_verdict(tb, tmp_path):
    stored(tmp_path, "intervention=none")
    stored(tmp_path, "intervention=dpsgd", only=["utility"])
    stored(tmp_path, "intervention=temperature", status="failed", only=[], reason="it broke\nthere")
    stored(tmp_path, "intervention=pgd_at", status="started", only=["utility", "fairness"])
    names = "none,dpsgd,temperature,pgd_at,balanced_weights,threshold_postprocessing"
    code, out, _ = tb("-m", f"intervention={names}")
    assert code == 0
    lines = {r.split("  ")[1].removeprefix("intervention="): r for r in out.splitlines()[3:9]}
    assert "done" in lines["none"]
    assert "to do in part" in lines["dpsgd"]
    assert "misses fairness" in lines["dpsgd"]
    assert "to do " in lines["temperature"]
    assert "failed when it was run: it broke" in lines["temperature"]
    assert "to do in part" in lines["pgd_at"]
    assert "did not finish it" in lines["pgd_at"]
    assert "unsupported" in lines["threshold_postprocessing"]
    assert "two classes" in lines["threshold_postprocessing"]
    assert "6 arms: 1 done, 2 to do in part, 2 to do, 1 unsupported" in out


def test_an_evaluator_with_other_settings_is_missing(tb, tmp_path):
    stored(tmp_path)
    assert "1 arm: 1 done" in tb()[1]
    assert "misses fairness" in tb("evaluator.fairness.min_group=30")[1]


def test_what_a_run_found_unsupported_stays_unsupported(tb, tmp_path):
    stored(
        tmp_path, "intervention=[lime,saliency]", status="unsupported", only=[], reason="both fill"
    )
    out = tb("intervention=[lime,saliency]")[1]
    assert "unsupported" in out
    assert "both fill (found when it was run)" in out


def test_a_refused_arm_is_the_exit_code(tb):
    code, out, _ = tb("control=matched")
    assert code == 2
    assert "refused" in out
    assert "control=matched needs an intervention that retrains" in out


def test_a_wrong_configuration_is_told_as_run_tells_it(tb):
    code, out, err = tb("seed=-1")
    assert (code, out) == (2, "")
    assert "seed is -1" in err
    assert tb("+experiment=smoek")[0] == 2


def test_equal_arms_are_planned_once(tb):
    out = tb("-m", "intervention=[dpsgd,temperature],[temperature,dpsgd]")[1]
    assert "1 to do, 1 same" in out
    assert "the same arm as intervention=[dpsgd,temperature]" in out


def test_time_is_the_median_of_the_same_methods(tb, tmp_path):
    for seed, seconds in ((1, 10.0), (2, 30.0), (3, 500.0)):
        stored(tmp_path, "intervention=dpsgd", f"seed={seed}", seconds=seconds)
    stored(tmp_path, "intervention=dpsgd", "training=memorising", seconds=9000.0)
    stored(tmp_path, "intervention=dpsgd", "seed=4", status="failed", only=[], seconds=7000.0)
    out = tb("-m", "intervention=none,dpsgd")[1]
    assert "about 30 s for 1 of them" in out
    assert "unknown for 1" in out
    stored(tmp_path, "intervention=dpsgd", only=["utility"])
    assert "about 2 s for 1 of them" in tb("intervention=dpsgd")[1]  # one evaluator: 2.5 s


def test_estimates_never_cross_methods_models_or_sizes(tmp_path):
    record = stored(tmp_path, "intervention=dpsgd", seconds=10.0)
    past = Past([record])
    assert past.whole(arm("intervention=dpsgd", "intervention.dpsgd.epsilon=8")) == 10.0
    for other in (
        ["intervention=none"],
        ["intervention=[dpsgd,temperature]"],
        ["intervention=dpsgd", "model=logistic"],
        ["intervention=dpsgd", "protocol.replicates=8"],
        ["intervention=dpsgd", "control=reseed"],
        ["intervention=dpsgd", "training=memorising"],
    ):
        assert past.whole(arm(*other)) is None
    assert past.of_evaluators(arm("intervention=dpsgd"), ["utility", "nothing"]) is None


def test_known_interactions_are_read_before_training(tb):
    out = tb("intervention=[dpsgd,lime]")[1]
    assert "known interactions of dpsgd, lime, registered before the run:" in out
    assert "P→F (privacy on fairness, registered for dpsgd): harm expected." in out
    assert "Bagdasaryan 2019" in out
    assert "E→R" in out
    assert "R→F" not in out
    assert "dpsgd_global_adapt is meant to remove the harm of dpsgd" in out
    assert "known interactions" not in tb()[1]


def test_printing_flags_and_help_plan_nothing(tb, capsys):
    code, out, _ = tb("--cfg", "job", "-p", "protocol")
    assert code == 0
    assert "replicates: 4" in out
    assert "verdict" not in out
    assert cli.main(["plan", "--help"]) == 0
    assert "does none of it" in capsys.readouterr().out


def test_hostile_text_keeps_to_its_line(tb, tmp_path):
    stored(tmp_path, status="failed", only=[], reason="\x1b[31mred\rover\n2nd line")
    out = tb()[1]
    (line,) = [each for each in out.splitlines() if "failed when it was run" in each]
    assert "\x1b" not in out
    assert line.endswith("[31mred over")


def test_verdicts_on_a_thousand_composed_arms_take_seconds(tmp_path):
    made = arm()
    arms = {
        f"a{k}": replace(made, training=replace(made.training, epochs=k + 1)) for k in range(1000)
    }
    started = time.process_time()
    rows = planned(arms, Store(tmp_path / "out"))
    assert time.process_time() - started < 30
    assert {r.verdict for r in rows} == {"to do"}
    assert len({r.arm_id for r in rows}) == 1000
