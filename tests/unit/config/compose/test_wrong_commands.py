"""Wrong command lines: each is one sentence or two of ours, exit code 2, and nothing runs."""

import dataclasses
import re

import pytest
from hydra._internal.utils import get_args_parser
from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.unit.config.compose.seen import experiment
from trustbench.commands import cli, run
from trustbench.config.compose.flags import UNUSED
from trustbench.config.compose.hydra_settings import OBEYED, refuse_given
from trustbench.errors import ConfigError

# Words that only Hydra, OmegaConf, pydantic, PyYAML and Python itself use.
RAW = re.compile(
    r"Could not (override|append|delete|find|load)|ValidationError|pydantic|omegaconf|hydra\.errors"
    r"|not in struct|full_key|object_type|reference_type|HYDRA_FULL_ERROR|For further information"
    r"|DictConfig|ListConfig|Error merging|raised while|NoneType|hydra\.cc|Config group override"
    r"|ConfigLoader|BasicSweeper|final defaults list|Input should|Interpolation key|No match in"
    r"|Lexer|__init__|TypeError|KeyError|Traceback|requires --multirun|after validation|<unicode"
    r"|could not be converted|token recognition|mismatched input|\bNone\b"
)

# arguments -> what the sentence says
WRONG = {
    "+experiment=null": "'+experiment=null' does not name an option; write experiment=NAME.",
    "experiment=": "'experiment=' does not name an option;",
    "+experiment=[smoke]": "is a list, but a run has one experiment; write experiment=NAME.",
    "+experiment=smok": "experiment=smok does not exist; did you mean 'smoke'? Available:",
    "++experiment=smoke": "write experiment=smoke.",
    "~experiment": "removes an experiment that was not given; drop it.",
    "-m +experiment=smoke,factorial": "experiment cannot be swept; give one experiment a run.",
    "+experiment=smoke +experiment=factorial": "experiment is chosen twice; give it once",
    "-m hydra.sweeper.arms=[a,b]": "hydra.sweeper.arms takes names of arms, each with a list:",
    "-m hydra.sweeper.arms=null": "hydra.sweeper.arms takes names of arms",
    "-m hydra.sweeper.arms.x=3": "hydra.sweeper.arms.x is 3; give a list of overrides",
    "-m hydra.sweeper.arms.x=[seed]": "'seed' cannot be read; write key=value",
    '-m hydra.sweeper.arms.x=["model=3"]': "arm x: 'model=3' does not name an option;",
    '-m hydra.sweeper.arms.x=["hydra.launcher.slots=3"]': "but all arms share it; give it for the",
    "-m hydra.sweeper.factors=lime": "takes a list of interventions: [dpsgd,lime].",
    "-m hydra.sweeper.factors=[1]": "'intervention=[1]' does not name an option;",
    "-m hydra.sweeper.params=3": "hydra.sweeper.params takes keys with their values",
    "-m hydra.sweeper.max_batch_size=0": "max_batch_size is 0; give at least 1, or null",
    "-m hydra.sweeper.max_batch_size=x": "hydra.sweeper.max_batch_size takes a whole number.",
    "-m hydra.sweeper.foo=1": "unknown key hydra.sweeper.foo; Available: arms, factors,",
    "-m +hydra.sweeper.foo=1": "unknown key hydra.sweeper.foo;",
    "-m hydra.launcher.foo=1": "unknown key hydra.launcher.foo; Available: gpus,",
    "-m +hydra.launcher.foo=1": "unknown key hydra.launcher.foo; Available: gpus,",
    "-m hydra.launcher.slots=1,2": "sweeps a setting of the whole run; give hydra.launcher",
    "-m hydra/launcher=jolib": "hydra/launcher=jolib does not exist; did you mean 'joblib'?",
    "-m hydra/launcher=null": "'hydra/launcher=null' does not name an option;",
    "-m hydra/sweeper=basic": "which checks every arm before the first one starts; drop it.",
    "-m hydra/launcher=joblib hydra.launcher.n_jobs=x": "n_jobs takes a whole number.",
    "model.hidden=[]": "model.hidden is []; it should be a list of 1 or more items.",
    "model.hidden=3": "model.hidden is 3; it should be a list, [a,b].",
    "model.hidden=[8,x]": "model.hidden is [8, 'x']; its item 'x' should be a valid integer.",
    "model=[mlp,cnn]": "write model=NAME, or -m model=mlp,cnn to run each.",
    "training=[tuned]": "is a list, but a run has one training; write training=NAME.",
    "model=": "'model=' does not name an option; write model=NAME. Available: cnn,",
    "model=mpl": "model=mpl does not exist; did you mean 'mlp'? Available:",
    "model=mlp,cnn": "names several values; add -m to run each",
    "model=???": "'model=???' does not name an option;",
    "model={a:1}": "does not name an option;",
    "model@foo=mlp": "moves a group to 'foo', where trustbench does not look for it; write model=",
    "-m model=mlp,3": "does not name an option; write model=NAME.",
    "-m model=glob(zzz*)": "model=glob(zzz*) leaves the sweep without an arm;",
    "dataset=null": "'dataset=null' does not name an option; write dataset=NAME. Available:",
    "+dataset=adult": "'+dataset=adult' adds a second dataset; write dataset=adult.",
    "++dataset=adult": "adds a second dataset; write dataset=adult.",
    "~dataset": "'~dataset' removes what every run needs; choose one with dataset=NAME.",
    "~protocol": "set its keys: protocol.KEY=VALUE.",
    "~seed": "set it: seed=VALUE.",
    "~intervention": "removes the whole list; write intervention=none for none.",
    "~foo": "unknown key foo; Available: activation_gb, checkpoint_s,",
    "~training.foo": "unknown key training.foo; Available: batch_size,",
    "~training.epochs=3": "removes nothing, because training.epochs is",
    "~hydra.sweep": "removes a setting that every run needs; set it instead.",
    "dataset.foo=1": "unknown key dataset.foo; Available: keep,",
    "+dataset.foo=1": "unknown key dataset.foo; Available: keep, rare.",
    "+foo.bar=1": "unknown key foo; Available:",
    "+seed=1": "seed is there already; drop the +: seed=1.",
    "policy=bank": "unknown key policy; Available:",
    "evaluator=[utility,nope]": "evaluator=nope does not exist; Available:",
    "evaluator=[3]": "'evaluator=[3]' does not name an option; write evaluator=NAME.",
    "evaluator=[[utility]]": "does not name an option;",
    "evaluator=[]": "no evaluator was chosen; give evaluator=all",
    "intervention=null": "'intervention=null' does not name an option;",
    "+intervention=dpsgd": "write intervention=dpsgd, and several as intervention=[a,b].",
    "intervention=[dpsgd": "cannot be read; write key=value, close every bracket",
    "intervention=dpsgd intervention.dpsgd=null": "intervention.dpsgd is null; give its settings",
    "intervention=dpsgd intervention.dpsgd.epsilon=x": "is 'x'; it should be a valid number.",
    "intervention=dpsgd intervention.dpsgd.epsilon.x=1": "epsilon is 3.0, which has no keys.",
    "intervention.dspgd.epsilon=1": "there is no intervention 'dspgd'; did you mean 'dpsgd'?",
    "intervention.dpsgd.epsilon=1": "but dpsgd is not chosen; choose it with intervention=dpsgd",
    "training.epochs=many": "training.epochs is 'many'; it should be a valid integer.",
    "training.epochs=null": "training.epochs is null; it should be a valid integer.",
    "training.epochs=???": "training.epochs has no value yet; give training.epochs=VALUE.",
    "protocol.replicates=-1": "protocol.replicates is -1; it should be greater than or equal to 2.",
    "protocol.replicates=100000000000000000000": "it should be less than or equal to 100000.",
    "protocol.shadows=100000000000000000000": "it should be less than or equal to 100000.",
    "threads=100000000000000000000": "it should be less than or equal to 1024.",
    "intervention=[dpsgd,lime,dpsgd]": "names dpsgd more than once; give it once.",
    "-m evaluator=[utility,utility]": "names utility more than once; give it once.",
    "protocol=[1]": "protocol takes keys with values: {key: value}.",
    "protocol=null": "protocol is null; give its keys one by one: protocol.KEY=VALUE.",
    "seed=${seed}": "seed refers to itself; give it a value.",
    "seed=${sead}": "seed refers to ${sead}: unknown key sead; did you mean 'seed'?",
    "seed=${nope:1}": "seed uses ${nope:...}, which does not exist; Available: hydra,",
    "seed=${oc.env:SECRET}": "seed: a configuration may not read the environment variable SECRET",
    "seed=${oc.env:TRUSTBENCH_NOPE}": "TRUSTBENCH_NOPE, which is not set; set it in the shell.",
    "seed=${oc.env:}": "seed holds ${...} that gives no value; write a plain value.",
    "seed='a": "cannot be read; write key=value, close every bracket and quote",
    "seed=1,": "'seed=1,' cannot be read;",
    "seed": "'seed' cannot be read;",
    "=1": "'=1' has no key; write key=value.",
    "seed=range(1,3)": "seed=range(1,3) names several values; add -m",
    "-m seed=interval(1,3)": "has no steps; list the values, seed=a,b, or write seed=range(a,b).",
    "-m seed=glob(*)": "looks for files, but seed is not a group; list the values: seed=a,b.",
    "-m seed=foo(1)": "cannot be read;",
    "-m seed=": "seed is ''; it should be a valid integer.",
    "-m output_dir=a,b": "output_dir cannot be swept; give one output_dir a run.",
    "plugins=foo": "plugins is 'foo'; it should be a list, [a,b].",
    "output_dir=null": "output_dir is null; it should be a valid string.",
    "hydra=3": "set single keys of it: hydra.launcher.KEY.",
    "hydra.launcher=3": "is chosen as a whole: hydra/launcher=NAME.",
    "hydra.mode=foo": "hydra.mode takes RUN or MULTIRUN.",
    "hydra.searchpath=null": "hydra.searchpath is null; give a list: [file:///FOLDER].",
    "hydra.verbose=3": "'hydra.verbose=3' is not a verbosity; write true, false,",
}  # fmt: skip

# settings of Hydra's that would do nothing, or leave folders behind
IGNORED = {
    "hydra.sweep.dir=xx": "output_dir=FOLDER sets where results go; drop it.",
    "-m seed=1,2 hydra.sweep.dir=xx": "output_dir=FOLDER sets where results go; drop it.",
    "-m hydra.sweep.subdir=xx hydra/launcher=basic": "output_dir=FOLDER sets where results go",
    "hydra.run.dir=xx": "output_dir=FOLDER sets where results go; drop it.",
    "hydra/output=default": "output_dir=FOLDER sets where results go; drop it.",
    "hydra.output_subdir=xx": "every record holds the configuration of its arm; drop it.",
    "hydra.job.chdir=true": "a run stays in its starting folder; drop it.",
    "hydra.job.env_copy=[NOPE]": "set environment variables in the shell; drop it.",
    "hydra.job.name=x": "trustbench does not use it;",
    "hydra/callbacks=x": "trustbench runs no callbacks; drop it.",
    "hydra.launcer.slots=3": "did you mean 'launcher'? Available:",
    "hydra.help.template=$ --help": "`trustbench run --help` is fixed; drop it.",
    "--cfg job hydra.run.dir=xx": "output_dir=FOLDER sets where results go; drop it.",
    "hydra.launcher.timeout_s=3": "is for a sweep, and this run has one arm; give -m",
    "hydra/launcher=slurm": "hydra/launcher=slurm is for a sweep, and this run has",
    "hydra.sweeper.arms={x:[]}": "hydra.sweeper.arms is for a sweep, and this run has one arm",
    "--run +experiment=smoke": "hydra.sweeper.arms is for a sweep, and this run has one arm;",
    "-m hydra.mode=RUN": "-m and hydra.mode=RUN contradict each other; drop one of them.",
    "-m hydra.verbose=true": "does not reach the processes of hydra/launcher=pool; drop it, or",
    "-m hydra/job_logging=stdout": "hydra.job_logging does not reach the processes of",
    "-m hydra.job.env_set.A=1": "hydra.job.env_set does not reach the processes of",
    "hydra.job_logging.root=3": "which is chosen as a whole: hydra/job_logging=NAME.",
    "--config-name x": "give your options with --config-dir.",
    "--config-path x": "give your options with --config-dir.",
    "--config-dir /tmp --config-dir /usr": "--config-dir is given 2 times; give one folder there",
    "--experimental-rerun x": "the same command again continues where the last one stopped.",
    "-sc install=bash": "`trustbench completion bash` prints what completes them.",
    "--package protocol": "--package goes with --cfg; give both or neither.",
    "--cfg job -p nope": "--package names no part of the configuration;",
}

# an experiment file -> what the sentence says
FILES = {
    "seed: [1\n": "experiment/mine.yaml cannot be read: line 3: did not find expected ',' or ']'",
    "seed: 1\nseed: 2\n": "mine.yaml cannot be read: line 3: found duplicate key seed; correct",
    "a: &a [*a]\n": "experiment/mine.yaml cannot be read: the anchor &a holds itself;",
    "a: " + "9" * 5_000: "cannot be read: it holds a whole number of more than 100 digits;",
    "3\n": "experiment/mine.yaml cannot be read: it holds no keys; give a YAML file that can be.",
    "- a\n- b\n": "experiment/mine.yaml: one of the values does not fit; its place takes keys",
    "seed: ${sead}\n": "seed refers to ${sead}: unknown key sead; did you mean 'seed'?",
    "seed: ${oc.env:\n": "mine.yaml",
    "defaults: 3\n": "experiment/mine.yaml: its `defaults` are not a list of `group: option`",
    "defaults: [dataset: [1]]\n": "its `defaults` are not a list of `group: option`",
    "defaults: [dataset: adult]\n": "write `override /dataset: adult`.",
    "defaults: [/dataset: adult]\n": "dataset is chosen twice; give it once on the command line",
    "defaults: [override /dataset: adlt]\n": "dataset=adlt does not exist; did you mean 'adult'?",
    "defaults: [override /datset: adult]\n": "experiment/mine.yaml: unknown key datset;",
    "defaults: [_self_, _self_]\n": "its `defaults` are not a list of `group: option`, each once",
    "hydra: {run: {dir: xx}}\n": "hydra.run.dir is given, but trustbench does not use it:",
    "hydra: {sweep: {dir: xx}}\n": "hydra.sweep.dir is given, but trustbench does not use it:",
    "hydra: {job: {env_copy: [NOPE]}}\n": "set environment variables in the shell.",
    "hydra: {searchpath: [/tmp]}\n": "hydra.searchpath is given in a file, where Hydra",
    "hydra: {run: 3}\n": "mine.yaml: one of the values does not fit; its place takes keys",
    "hydra: {job_logging: {root: 3}}\n": "is not what Python's logging takes; drop it.",
    "hydra: {mode: SWEEP}\n": "hydra.mode takes RUN or MULTIRUN.",
    "training: 3\n": "training",
}


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """What a command line that must be refused is told, after checks that hold for all."""

    def begin(asked):
        raise AssertionError("a wrong command has begun")

    monkeypatch.setattr(run, "begin", begin)
    monkeypatch.chdir(tmp_path)

    def told(args):
        before = sorted(tmp_path.rglob("*"))
        code = cli.main(["run", *args])
        said = capsys.readouterr().err
        assert code == 2, said
        for line in said.splitlines():
            assert line.startswith("trustbench: "), said
            assert line.endswith("."), said
            assert not RAW.search(line), said
            assert len(re.findall(r"[.?](?=\s+[A-Z]|$)", line)) <= 2, said
        assert sorted(tmp_path.rglob("*")) == before
        return said

    return told


@pytest.mark.parametrize("command", [*WRONG, *IGNORED])
def test_a_wrong_command_is_told_in_our_words(command, refused):
    told = refused(command.split(" "))
    assert {**WRONG, **IGNORED}[command] in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("text", FILES)
def test_a_wrong_file_is_told_in_our_words(text, refused, tmp_path):
    path = tmp_path / "experiment" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(f"# @package _global_\n{text}")
    assert FILES[text] in refused(["--config-dir", str(tmp_path), "+experiment=mine"])


def test_a_file_that_is_not_text_is_told_in_our_words(refused, tmp_path):
    path = tmp_path / "experiment" / "mine.yaml"
    path.parent.mkdir()
    path.write_bytes(b"# @package _global_\nseed: \xff\xfe\n")
    told = refused(["--config-dir", str(tmp_path), "+experiment=mine"])
    assert f"{path} cannot be read: it is not UTF-8 text; save it as UTF-8." in told


def keys(cls, prefix="hydra"):
    """The key of each setting in Hydra's own part of a configuration."""
    for field in dataclasses.fields(cls):
        inner = field.type if dataclasses.is_dataclass(field.type) else None
        yield f"{prefix}.{field.name}"
        if inner:
            yield from keys(inner, f"{prefix}.{field.name}")


def complaint(override):
    try:
        refuse_given([override])
    except ConfigError as error:
        return str(error)
    return ""


def test_every_setting_of_hydra_is_obeyed_or_refused():
    parse = OverridesParser.create().parse_override
    known = [k for k in keys(HydraConf) if k.startswith("hydra.")]
    assert len(known) > 30
    obeyed = {k for k in known if not complaint(parse(f"{k}=true"))}
    assert obeyed == {f"hydra.{k}" for k in OBEYED} - {
        "hydra.launcher", "hydra.sweeper", "hydra.job_logging", "hydra.hydra_logging",
    }  # fmt: skip


def test_every_flag_of_hydra_is_obeyed_or_refused():
    obeyed = {"help", "version", "overrides", "cfg", "resolve", "package", "run", "multirun"}
    flags = {a.dest for a in get_args_parser()._actions}
    assert flags == obeyed | {"config_dir", "info"} | set(UNUSED)


def test_hydra_s_own_settings_that_are_obeyed_work(seen, tmp_path):
    _, (arm,) = seen.run("hydra.verbose=[x]", "hydra/job_logging=stdout", "hydra.mode=RUN")
    assert arm.dataset.name == "digits"
    _, arms = seen.run("-m", "model=glob(ml*)", "hydra.job.env_set.A=1", "hydra.verbose=[x]")
    assert [a.model.name for a in arms] == ["mlp"]
    _, arms = seen.run("hydra.mode=MULTIRUN", 'hydra.sweeper.arms.x=["seed=3"]')
    assert [a.seed for a in arms] == [3]
    args = experiment(tmp_path, "    arms: {x: [seed=3]}\n")
    _, arms = seen.run("experiment=mine", *args, 'hydra.sweeper.arms.x=["seed=4"]')
    assert [a.seed for a in arms] == [4]


def test_a_launcher_that_refuses_its_settings_is_told_in_our_words(seen):
    with pytest.raises(ConfigError, match="the launcher refuses its settings: n_jobs == 0"):
        seen.run("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=0")
