"""A configuration runs nothing but declared plugins: one sentence, exit 2, nothing executed.

Every vector below would write a file if it ran.
"""

import os
import sys

import pytest

from trustbench.config.compose import compose

CANARY = """
import pathlib, logging
def write(*args, **kwargs):
    pathlib.Path({path!r}).write_text("ran")
    return logging.NullHandler()
class Handler(logging.StreamHandler):
    def __init__(self, *args, **kwargs):
        write()
        super().__init__()
stream = property(write)
"""
HYDRA = {
    "callback": ("hydra:\n  callbacks:\n    x: {_target_: canary.write}\n", "callbacks"),
    "blocked callback": ("hydra:\n  callbacks:\n    x: {_target_: os.system}\n", "callbacks"),
    "launcher": ("hydra:\n  launcher: {_target_: canary.write}\n", "hydra.launcher._target_ is"),
    "sweeper": ("hydra:\n  sweeper: {_target_: canary.write}\n", "hydra.sweeper._target_ is"),
    "inside sweeper": (
        "hydra:\n  sweeper:\n    params: {a: {_target_: canary.write}}\n",
        "which Hydra would call",
    ),
    "logging class": (
        (
            "hydra:\n  job_logging:\n    version: 1\n    handlers: {h: {class: canary.Handler}}\n"
            "    root: {handlers: [h]}\n"
        ),
        "hydra.job_logging.handlers.h.class is 'canary.Handler'",
    ),
    "logging factory": (
        (
            "hydra:\n  hydra_logging:\n    version: 1\n    formatters: {f: {'()': canary.write}}\n"
            "    handlers: {h: {class: logging.StreamHandler, formatter: f}}\n"
            "    root: {handlers: [h]}\n"
        ),
        "hydra.hydra_logging.formatters.f.() is 'canary.write'",
    ),
    "logging import": (
        (
            "hydra:\n  job_logging:\n    version: 1\n"
            "    handlers: {h: {class: logging.StreamHandler, stream: ext://canary.stream}}\n"
            "    root: {handlers: [h]}\n"
        ),
        "hydra.job_logging.handlers.h.stream is 'ext://canary.stream'",
    ),
    "logging file": (
        (
            "hydra:\n  job_logging:\n    version: 1\n"
            "    handlers: {h: {class: logging.FileHandler, filename: written.log}}\n"
            "    root: {handlers: [h]}\n"
        ),
        "hydra.job_logging.handlers.h.class is 'logging.FileHandler'",
    ),
    "logging interpolation": (
        (
            "hydra:\n  job_logging:\n    version: 1\n"
            "    handlers: {h: {class: '${hydra.job.config_name}'}}\n    root: {handlers: [h]}\n"
        ),
        "hydra.job_logging.handlers.h.class is '${hydra.job.config_name}'",
    ),
    "environment": (
        "hydra:\n  job:\n    env_set: {LD_PRELOAD: /tmp/x.so}\n",
        "hydra.job.env_set sets LD_PRELOAD from a file; set environment variables in the shell",
    ),
}
SLURM = {
    "shell": ("{setup: ['touch written']}", "['touch written'], which a shell would run"),
    "sbatch": ("{sbatch: {wrap: 'touch written'}}", "which a shell would run"),
    "inside launcher": ("{x: {_target_: canary.write}}", "which Hydra would call"),
}
VALUES = {
    "secret in a value": (
        "dataset: {name: '${oc.env:AWS_SECRET}'}\n",
        "may not read the environment variable AWS_SECRET",
    ),
    "secret in an address": (
        "tracking_uri: 'http://127.0.0.1:9/${oc.env:AWS_SECRET}'\n",
        "may not read the environment variable AWS_SECRET",
    ),
    "secret by a detour": (
        "seed: '${oc.decode:${x}}'\nx: \"${oc.env:AWS_SECRET}\"\n",
        "may not read the environment variable AWS_SECRET",
    ),
    "python object": ("seed: !!python/object/apply:canary.write []\n", "python/object/apply"),
    "python name": ("seed: !!python/name:canary.write ''\n", "python/name"),
    "foreign class": ("dataset: {_target_: canary.write}\n", "outside of the modules that may be"),
    "function of ours": (
        "dataset: {_target_: trustbench.config.plugins.build}\n",
        "which is not a class of datasets in trustbench.config.plugins",
    ),
    "nested class": (
        "dataset: {rare: {_target_: canary.write}}\n",
        "dataset.rare is {'_target_': 'canary.write'}; it should be",
    ),
}  # fmt: skip


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A module that anything may import, and the file that it writes when it runs."""
    folder = tmp_path / "modules"
    folder.mkdir()
    written = tmp_path / "ran"
    (folder / "canary.py").write_text(CANARY.format(path=str(written)))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("TRUSTBENCH_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("AWS_SECRET", "hunter2")
    monkeypatch.chdir(tmp_path)
    yield written
    sys.modules.pop("canary", None)


def experiment(tmp_path, text):
    path = tmp_path / "conf" / "experiment" / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# @package _global_\n" + text)
    return ["--config-dir", tmp_path / "conf", "+experiment=mine", "evaluator=utility"]


def refused(done, sentence, tmp_path):
    assert done.code == 2, done.err
    assert sentence in done.err
    assert "Traceback" not in done.err
    assert "hunter2" not in done.err + done.out
    assert not (tmp_path / "ran").exists(), "code of the configuration ran"
    assert not list(tmp_path.glob("written*"))
    assert not list(tmp_path.glob("outputs/arms/*"))


@pytest.mark.parametrize("mode", [[], ["-m"]], ids=["one arm", "sweep"])
@pytest.mark.parametrize("kind", [*HYDRA, *VALUES])
def test_an_experiment_file_runs_nothing(kind, mode, tb, tmp_path, canary):
    text, sentence = {**HYDRA, **VALUES}[kind]
    refused(tb("run", *mode, *experiment(tmp_path, text)), sentence, tmp_path)


@pytest.mark.parametrize("kind", SLURM)
def test_a_file_gives_a_chosen_launcher_no_commands(kind, tb, tmp_path, canary):
    text, sentence = SLURM[kind]
    args = experiment(tmp_path, f"hydra:\n  launcher: {text}\n")
    refused(tb("run", "-m", *args, "hydra/launcher=slurm"), sentence, tmp_path)


@pytest.mark.parametrize("command", [["plan"], ["run", "--cfg", "job"], ["run", "--help"]])
@pytest.mark.parametrize("kind", ["callback", "logging class"])
def test_nor_does_one_that_is_only_looked_at(kind, command, tb, tmp_path, canary):
    text, sentence = HYDRA[kind]
    if "--help" in command:
        tb(*command, *experiment(tmp_path, text))
        assert not canary.exists()
        return
    refused(tb(*command, *experiment(tmp_path, text)), sentence, tmp_path)


@pytest.mark.parametrize(
    "override",
    [
        "+hydra.callbacks.x._target_=canary.write",
        "hydra.launcher._target_=canary.write",
        "+hydra.job_logging.handlers.h.class=canary.Handler",
        "seed=${oc.env:AWS_SECRET}",
    ],
)
def test_nor_does_an_arm_of_a_list_or_an_override(override, tb, tmp_path, canary):
    text = f"hydra:\n  mode: MULTIRUN\n  sweeper:\n    arms:\n      a: ['{override}']\n"
    done = tb("run", *experiment(tmp_path, text))
    assert done.code == 2, done.err
    assert not canary.exists()
    assert "hunter2" not in done.err + done.out
    done = tb("run", "evaluator=utility", override)
    assert done.code == 2, done.err
    assert not canary.exists()
    assert "hunter2" not in done.err + done.out


def test_an_option_of_a_group_reaches_hydra_no_better(tb, tmp_path, canary):
    path = tmp_path / "conf" / "training" / "odd.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# @package _global_\n" + HYDRA["callback"][0])
    args = ["--config-dir", tmp_path / "conf", "evaluator=utility"]
    refused(tb("run", *args, "training=odd"), "callbacks", tmp_path)
    refused(tb("run", "-m", *args, "training=tuned,odd"), "callbacks", tmp_path)


def test_what_a_user_declares_still_works(tb, tmp_path, canary, monkeypatch):
    monkeypatch.setenv("TRUSTBENCH_SCRATCH", str(tmp_path / "scratch"))
    done = tb("run", "--cfg", "job", "--resolve", "output_dir=${oc.env:TRUSTBENCH_SCRATCH}")
    assert done.code == 0, done.err
    assert str(tmp_path / "scratch") in done.out
    shown = ["hydra/job_logging=stdout", "hydra/launcher=basic"]
    done = tb("plan", "-m", "evaluator=utility", "seed=0", *shown)
    assert done.code == 0, done.err
    done = tb(
        "plan", "-m", "evaluator=utility", "seed=0", "hydra/launcher=slurm",
        "hydra.launcher.setup=['module load cuda']",
    )  # fmt: skip
    assert "which a shell would run" not in done.err


def test_the_guard_ends_with_the_command(tb, tmp_path, canary):
    from omegaconf import OmegaConf

    compose(["evaluator=utility"])
    assert tb("run", "--cfg", "job").code == 0
    assert OmegaConf.create({"a": "${oc.env:AWS_SECRET}"}).a == os.environ["AWS_SECRET"]
