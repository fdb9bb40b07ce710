"""Configurations compose into arms, and what Hydra says of wrong ones is told in words."""

import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from trustbench.config.build_arm import KEYS, build_arm
from trustbench.config.compose import (
    RunStart,
    compose,
    composed_arm,
    conf_dirs,
    hydra_run,
    reading,
)
from trustbench.config.compose.messages import sentence
from trustbench.config.plugins import discover
from trustbench.errors import ConfigError


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


def test_every_default_key_is_known_to_build_arm():
    assert {str(k) for k in compose()} - {"hydra"} == set(KEYS)


def test_lists_of_interventions_compose():
    arm = composed_arm(compose(["intervention=[pgd_at,dpsgd]", "intervention.dpsgd.epsilon=8"]))
    assert {i.name for i in arm.interventions} == {"dpsgd", "pgd_at"}
    assert next(i for i in arm.interventions if i.name == "dpsgd").plugin.epsilon == 8.0


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
        hydra_run(["evaluator=utility"], lambda asked: RunStart(), work)


def test_an_unknown_setting_of_a_launcher_has_near_names_in_a_sweep_too(seen):
    with pytest.raises(ConfigError) as caught:
        hydra_run(["-m", "seed=1,2", "hydra.launcher.slot=3"], seen.begin, seen.work)
    (problem,) = caught.value.problems
    assert problem.startswith("unknown key hydra.launcher.slot; did you mean 'slots'? Available:")
    assert "_target_" not in problem


def test_the_pool_is_the_default_and_its_settings_are_checked_first(seen):
    assert compose().hydra.launcher._target_.endswith("PoolLauncher")
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.retries is -1"):
        hydra_run(["-m", "seed=1,2", "hydra.launcher.retries=-1"], seen.begin, seen.work)


def test_build_arm_reports_unknown_and_missing_keys_together():
    config = {k: None for k in KEYS if k != "seed"} | {"sead": 1}
    with pytest.raises(ConfigError) as caught:
        build_arm(config)
    assert caught.value.problems[0].startswith("unknown key sead; did you mean 'seed'?")
    assert caught.value.problems[1].startswith("seed is missing")


def test_folders_are_made_absolute(seen):
    _, (arm,) = seen.run("output_dir=here", "data_dir='~/there'")
    assert arm.output_dir == Path("here").absolute()
    assert arm.data_dir == Path("~/there").expanduser()


def test_messages_that_are_not_recognised_are_told_in_our_words():
    error = RuntimeError("Cannot frobnicate\n    full_key: a.b\n\nConfig search path:\n\tlong")
    assert sentence(error, {}) == (
        "a.b does not fit; `trustbench run --cfg job` shows values that do."
    )
    assert sentence(RuntimeError("Could not override 'a.b.c'."), {"a": {"b": 3}}) == (
        "unknown key a.b.c; a.b is 3, which has no keys."
    )
    assert "cannot be set here" in sentence(RuntimeError("Could not override 'a'."), {"a": 1})


def test_each_file_is_read_once_in_a_run(seen, monkeypatch):
    opened = []
    load = OmegaConf.load
    monkeypatch.setattr(OmegaConf, "load", lambda f: opened.append(str(f.name)) or load(f))
    monkeypatch.setattr(reading, "_SHIPPED", {})
    seen.run("-m", "intervention=none,dpsgd", "seed=1,2")
    read = [name for name in opened if name.startswith(str(conf_dirs()[0]))]
    assert len(read) == len(set(read)) > 5
    opened.clear()
    seen.run("-m", "intervention=none,dpsgd", "seed=1,2")
    assert not [name for name in opened if name in read], "a second run has them already"


def test_a_shipped_file_is_read_again_once_it_has_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_SHIPPED", {})
    file, read = tmp_path / "v1.2.yaml", []
    file.write_text("a: 1")
    for name in ("v1.2", "v1.2.yaml"):
        reading._shipped(tmp_path, name, lambda: read.append(1))
    assert len(read) == 1
    os.utime(file, ns=(0, 1))
    reading._shipped(tmp_path, "v1.2", lambda: read.append(1))
    assert len(read) == 2
    file.unlink()
    with pytest.raises(KeyError):
        reading._shipped(tmp_path, "v1.2", lambda: {}["missing"])
