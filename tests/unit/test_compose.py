"""Configurations compose into arms, and the arms sweeper multiplies lists of arms."""

from pathlib import Path

import pytest

from trustbench.assembly import KEYS, assemble
from trustbench.compose import Begun, compose, composed_arm, conf_dir, conf_dirs, hydra_run
from trustbench.compose.arguments import read
from trustbench.compose.messages import sentence
from trustbench.errors import ConfigError, TrustbenchError
from trustbench.plugins import discover
from trustbench.sweeping import (
    named_arms,
    redrawn,
    refuse_contradictions,
    subsets,
    together,
)


class Seen:
    """What `begin` and `work` were called with."""

    def __init__(self):
        self.asked, self.arms = None, []

    def begin(self, asked):
        self.asked = asked
        return Begun()

    def work(self, arm):
        self.arms.append(arm)
        return arm

    def run(self, *args):
        here = ["evaluator=utility", "hydra/launcher=basic"]  # in this process, to be seen
        return hydra_run([*here, *args], self.begin, self.work)


@pytest.fixture
def seen():
    return Seen()


def test_a_plain_run_composes_the_default_arm(seen):
    asked, results = seen.run()
    assert results == seen.arms
    assert (asked.sweep, asked.experiment, asked.table.stem) == (False, "default", "cresswell")
    arm = results[0]
    assert (arm.dataset.name, arm.model.name, arm.interventions) == ("digits", "mlp", ())
    assert arm.training.regime == "tuned"


def test_all_evaluators_are_chosen_by_default_and_keep_their_keys():
    arm = composed_arm(compose(["evaluator.robustness.epsilon=.05"]))
    assert [e.name for e in arm.evaluators] == list(discover("evaluator", conf_dirs()))
    assert {e.name: e.plugin for e in arm.evaluators}["robustness"].epsilon == 0.05


def test_every_default_key_is_known_to_the_assembler():
    assert {str(k) for k in compose()} - {"hydra"} == set(KEYS)


def test_lists_of_interventions_compose():
    arm = composed_arm(compose(["intervention=[pgd_at,dpsgd]", "intervention.dpsgd.epsilon=8"]))
    assert {i.name for i in arm.interventions} == {"dpsgd", "pgd_at"}
    assert next(i for i in arm.interventions if i.name == "dpsgd").plugin.epsilon == 8.0


def test_a_sweep_multiplies_values(seen):
    asked, results = seen.run("-m", "intervention=none,dpsgd", "seed=0,1")
    assert asked.sweep
    got = [([i.name for i in a.interventions], a.seed) for a in results]
    assert got == [([], 0), ([], 1), (["dpsgd"], 0), (["dpsgd"], 1)]
    assert list(asked.arms) == [
        f"intervention={i} seed={s}" for i in ("none", "dpsgd") for s in (0, 1)
    ]


def test_lists_can_be_swept(seen):
    _, results = seen.run("-m", "intervention=[none],[dpsgd,pgd_at]")
    assert [len(a.interventions) for a in results] == [0, 2]


def _experiment(tmp_path, body):
    path = tmp_path / "experiment" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(f"# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n{body}")
    return ["--config-dir", str(tmp_path)]


def test_an_experiment_lists_its_arms_and_needs_no_flag(seen, tmp_path):
    dp = "[intervention=dpsgd, 'intervention.dpsgd.epsilon=3,8']"
    body = f"    arms:\n      base: []\n      dp: {dp}\n"
    asked, results = seen.run("experiment=mine", *_experiment(tmp_path, body), "seed=5,6")
    doses = [[i.plugin.epsilon for i in a.interventions] for a in results]
    assert doses == [[], [], [3.0], [3.0], [8.0], [8.0]]
    assert [a.seed for a in results] == [5, 6, 5, 6, 5, 6]
    assert {a.experiment for a in results} == {"mine"} == {asked.experiment}
    assert next(iter(asked.arms)) == "base seed=5"


def test_params_and_batches_of_the_basic_sweeper_still_work(seen, tmp_path):
    body = (
        "    max_batch_size: 1\n    params: {seed: '1,2'}\n    arms: {a: [], b: [control=reseed]}\n"
    )
    _, results = seen.run("+experiment=mine", *_experiment(tmp_path, body))
    assert [(a.control, a.seed) for a in results] == [
        ("none", 1), ("none", 2), ("reseed", 1), ("reseed", 2),
    ]  # fmt: skip


def _who(results):
    return [("+".join(i.name for i in a.interventions), a.seed) for a in results]


def test_factors_on_the_command_line_are_an_arm_for_every_subset(seen):
    asked, results = seen.run("+experiment=factorial", "hydra.sweeper.factors=[pgd_at,dpsgd]")
    assert _who(results) == [("", 0), ("dpsgd", 0), ("pgd_at", 0), ("dpsgd+pgd_at", 0)]
    assert list(asked.arms) == ["baseline", "dpsgd", "pgd_at", "dpsgd+pgd_at"]


def test_factors_stand_beside_listed_arms(seen, tmp_path):
    body = "    factors: [lime]\n    arms: {again: [control=reseed]}\n"
    _, results = seen.run("+experiment=mine", *_experiment(tmp_path, body), "seed=3")
    assert _who(results) == [("", 3), ("lime", 3), ("", 3)]
    assert [a.control for a in results] == ["none", "none", "reseed"]


def test_a_factor_that_does_not_exist_is_told_with_its_arms(seen):
    with pytest.raises(ConfigError) as caught:
        seen.run("-m", "hydra.sweeper.factors=[lime,dpsdg]")
    (problem,) = caught.value.problems
    assert problem.startswith("arm dpsdg, dpsdg+lime: intervention=dpsdg does not exist; did you")
    assert not seen.arms


def test_factors_and_an_intervention_for_all_contradict_each_other(seen):
    with pytest.raises(ConfigError, match="intervention is set by the experiment's arm 'lime'"):
        seen.run("-m", "hydra.sweeper.factors=[lime]", "intervention=dpsgd")


def test_pools_run_every_arm_with_seeds_of_their_own(seen, tmp_path):
    body = "    arms: {base: [], dp: [intervention=dpsgd]}\n"
    asked, results = seen.run("+experiment=mine", *_experiment(tmp_path, body), "protocol.pools=2")
    assert _who(results) == [("", 0), ("", 1), ("dpsgd", 0), ("dpsgd", 1)]
    assert list(asked.arms) == [f"{arm} seed={s}" for arm in ("base", "dp") for s in (0, 1)]


def test_pools_follow_the_seed_of_an_experiment_and_multiply_what_is_swept(seen, tmp_path):
    args = _experiment(tmp_path, "    arms: {a: []}\nseed: 7\nprotocol: {pools: 2}\n")
    asked, results = seen.run("+experiment=mine", *args, "control=none,reseed")
    assert [(a.control, a.seed) for a in results] == [
        ("none", 7), ("none", 8), ("reseed", 7), ("reseed", 8),
    ]  # fmt: skip
    assert next(iter(asked.arms)) == "a control=none seed=7"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["-m", "protocol.pools=2", "seed=5"], "gives a seed, and protocol.pools=2 gives each"),
        (["-m", "protocol.pools=2", "seed=0,1"], "arm 'seed=0' gives a seed"),
        (["-m", "protocol.pools=1,2"], "protocol.pools cannot be swept"),
        (["protocol.pools=2"], "protocol.pools=2 redraws .* add -m"),
        (["-m", "protocol.pools=0"], "protocol.pools is 0; it should be greater"),
    ],
)
def test_pools_that_would_not_be_what_was_asked_are_refused(seen, args, sentence):
    with pytest.raises(ConfigError, match=sentence):
        seen.run(*args)
    assert not seen.arms


def test_an_arm_has_no_pools_of_its_own(seen, tmp_path):
    body = "    arms: {base: [], dp: [intervention=dpsgd, protocol.pools=2]}\n"
    with pytest.raises(ConfigError, match=r"protocol\.pools is set by the experiment's arm 'dp'"):
        seen.run("+experiment=mine", *_experiment(tmp_path, body))


def test_subsets_are_sorted_and_each_once():
    assert subsets(["b", "a", "b"]) == {
        "baseline": [],
        "a": ["intervention=[a]"],
        "b": ["intervention=[b]"],
        "a+b": ["intervention=[a,b]"],
    }
    assert len(subsets(list("abcd"))) == 16


@pytest.mark.parametrize("factors", ["dpsgd", [1], [["dpsgd"]], [None]])
def test_malformed_factors_are_refused(factors):
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.factors is .* give a list of interv"):
        subsets(factors)


def test_pools_keep_every_other_override_of_an_arm():
    own = ["intervention=[a,b]", "control=reseed"]
    jobs = redrawn("x", own, seed=4, pools=2)
    assert jobs == {"x seed=4": [*own, "seed=4"], "x seed=5": [*own, "seed=5"]}
    assert redrawn("x", [*own, "seed=9"], seed=4, pools=1) == {"x": [*own, "seed=9"]}
    assert own == ["intervention=[a,b]", "control=reseed"]
    with pytest.raises(ConfigError, match="arm 'x' gives a seed"):
        redrawn("x", ["seed=9"], seed=4, pools=2)


def test_nothing_starts_when_one_arm_is_wrong(seen):
    with pytest.raises(ConfigError) as caught:
        seen.run("-m", "seed=0,-1", "protocol.replicates=1")
    assert caught.value.problems == (
        "protocol.replicates is 1; it should be greater than or equal to 2.",
        "arm seed=-1: seed is -1; it should be greater than or equal to 0.",
    )
    assert seen.asked is None
    assert not seen.arms


def test_hydra_leaves_nothing_in_the_working_directory(seen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen.run()
    seen.run("-m", "seed=0,1")
    assert list(tmp_path.iterdir()) == []


def test_printing_flags_run_nothing(seen, capsys):
    assert seen.run("--cfg", "job", "-p", "protocol") is None
    assert "replicates: 16" in capsys.readouterr().out
    assert seen.asked is None


def test_an_error_in_a_job_is_raised_as_it_is():
    def work(arm):
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        hydra_run(["evaluator=utility"], lambda asked: Begun(), work)


def test_fail_fast_is_a_setting_of_the_launcher():
    command = read(["-m", "--fail-fast", "seed=1,2"])
    assert command.flags == ("-m",)
    assert command.overrides == ("seed=1,2", "hydra.launcher.on_error=stop")
    assert composed(command).hydra.launcher.on_error == "stop"


def composed(command):
    return compose([o for o in command.overrides if "," not in o])


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_fail_fast_needs_a_launcher_that_can_stop(launcher):
    with pytest.raises(ConfigError, match=f"--fail-fast and hydra/launcher={launcher} do not go"):
        read(["-m", "--fail-fast", f"hydra/launcher={launcher}"])


def test_an_unknown_setting_of_a_launcher_has_near_names_in_a_sweep_too(seen):
    with pytest.raises(ConfigError) as caught:
        hydra_run(["-m", "seed=1,2", "hydra.launcher.slot=3"], seen.begin, seen.work)
    (problem,) = caught.value.problems
    assert problem.startswith("unknown key hydra.launcher.slot; did you mean 'slots'? Allowed:")
    assert "_target_" not in problem


def test_the_pool_is_the_default_and_needs_what_the_arms_sweeper_has_checked(
    seen, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # Hydra's own sweeper leaves a file where it is started
    assert compose().hydra.launcher._target_.endswith("PoolLauncher")
    with pytest.raises(ConfigError, match=r"drop hydra/sweeper=\.\.\., or choose"):
        hydra_run(["-m", "seed=1,2", "hydra/sweeper=basic"], seen.begin, seen.work)
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.retries is -1"):
        hydra_run(["-m", "seed=1,2", "hydra.launcher.retries=-1"], seen.begin, seen.work)


def test_every_arm_of_a_sweep_knows_the_run_that_begin_has_made(seen):
    seen.begin = lambda asked: Begun("the sweep's run")
    asked, results = seen.run("-m", "seed=1,2")
    assert [a.sweep_run for a in results] == ["the sweep's run"] * 2
    assert [a.sweep_run for a in asked.arms.values()] == ["the sweep's run"] * 2


def test_flags_may_stand_anywhere():
    command = read(["seed=1", "-m", "--config-dir", str(conf_dir()), "control=reseed"])
    assert command.overrides == ("seed=1", "control=reseed")
    assert command.flags == ("-m", "--config-dir", str(conf_dir()))
    assert command.dirs == (conf_dir(), conf_dir())


def test_plugin_packages_bring_their_conf_folder(tmp_path, monkeypatch, seen):
    (tmp_path / "brought_5" / "conf" / "training").mkdir(parents=True)
    (tmp_path / "brought_5" / "__init__.py").write_text("")
    text = (conf_dir() / "training" / "tuned.yaml").read_text().replace("epochs: ", "epochs: 7")
    (tmp_path / "brought_5" / "conf" / "training" / "longer.yaml").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = type("Entry", (), {"module": "brought_5"})()
    monkeypatch.setattr("trustbench.compose.arguments.registered", lambda: (entry,))
    _, (arm,) = seen.run("training=longer")
    assert str(arm.training.epochs).startswith("7")


def test_a_missing_configuration_folder_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setattr("trustbench.compose.arguments.__file__", str(tmp_path / "a" / "b" / "c.py"))
    with pytest.raises(TrustbenchError, match="configuration folder is missing: neither"):
        conf_dir()


def test_the_configuration_folder_of_a_wheel_comes_first(monkeypatch, tmp_path):
    for folder in (tmp_path / "pkg" / "_conf", tmp_path / "conf"):
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("")
    monkeypatch.setattr(
        "trustbench.compose.arguments.__file__", str(tmp_path / "pkg" / "c" / "a.py")
    )
    assert conf_dir() == tmp_path / "pkg" / "_conf"


def test_assemble_reports_unknown_and_missing_keys_together():
    config = {k: None for k in KEYS if k != "seed"} | {"sead": 1}
    with pytest.raises(ConfigError) as caught:
        assemble(config)
    assert caught.value.problems[0].startswith("unknown key sead; did you mean 'seed'?")
    assert caught.value.problems[1].startswith("seed is missing")


def test_folders_are_made_absolute(seen):
    _, (arm,) = seen.run("output_dir=here", "data_dir='~/there'")
    assert arm.output_dir == Path("here").absolute()
    assert arm.data_dir == Path("~/there").expanduser()


@pytest.mark.parametrize(
    ("arms", "sentence"),
    [
        ({"a": "seed=1"}, "hydra.sweeper.arms.a is 'seed=1'; give a list of overrides"),
        ({"a": {"seed": 1}}, "give a list of overrides"),
        ({"a": [1]}, "give a list of overrides"),
        ({"a": None}, "give a list of overrides"),
    ],
)
def test_malformed_arms_are_refused(arms, sentence):
    with pytest.raises(ConfigError, match=sentence):
        named_arms(arms)


def test_an_arm_and_the_command_line_may_not_set_the_same_key():
    refuse_contradictions("dp", {"seed": True}, {"intervention": False})
    with pytest.raises(ConfigError, match="intervention is set by the experiment's arm 'dp'"):
        refuse_contradictions("dp", {"intervention": False}, {"intervention": False})
    with pytest.raises(ConfigError, match="table cannot be swept"):
        refuse_contradictions("", {"table": True}, {})


def test_problems_of_all_arms_are_told_once():
    problems = {"a": ("x.", "y."), "b": ("x.",), "c": ("x.", "y.")}
    assert together(problems, 3) == ["x.", "arm a, c: y."]


def test_messages_that_are_not_recognised_are_kept_short():
    error = RuntimeError("first line\n    second\n\nConfig search path:\n\tlong")
    assert sentence(error, {}) == "first line second."
    assert sentence(RuntimeError("Could not override 'a.b.c'."), {"a": {"b": 3}}) == (
        "unknown key a.b.c; a.b is 3, which has no keys."
    )
    assert "cannot be set here" in sentence(RuntimeError("Could not override 'a'."), {"a": 1})
