"""Every kind of bad input gives one sentence and exit code 2, writes nothing and trains nothing."""

import pytest

from trustbench.store.records import Store

# kind -> (arguments after `run`, what the sentence says)
RUN = {
    "unknown key": (["sead=1"], "unknown key sead; did you mean 'seed'?"),
    "unknown nested key": (["training.lrr=1"], "unknown key training.lrr; did you mean 'lr'?"),
    "unknown hyper-parameter": (
        ["intervention=dpsgd", "intervention.dpsgd.epsilom=1"],
        "unknown key intervention.dpsgd.epsilom; did you mean 'epsilon'?",
    ),
    "added key": (["+extra=1"], "unknown key extra;"),
    "removed key": (["~seed"], "'~seed' removes what every run needs; set it: seed=VALUE."),
    "unknown model": (["model=mpl"], "model=mpl does not exist; did you mean 'mlp'?"),
    "unknown intervention": (["intervention=dpsdg"], "intervention=dpsdg does not exist; did you"),
    "unknown evaluator": (["evaluator=[privcy]"], "evaluator=privcy does not exist; did you mean"),
    "unknown experiment": (["+experiment=smok"], "experiment=smok does not exist; did you mean"),
    "unknown table": (["table=x"], "table=x does not exist;"),
    "unknown launcher": (["-m", "hydra/launcher=jolib"], "hydra/launcher=jolib does not exist;"),
    "no option": (["model=null"], "'model=null' does not name an option; write model=NAME."),
    "no evaluator": (["evaluator=[]"], "no evaluator was chosen;"),
    "not chosen": (["intervention.dpsgd.epsilon=1"], "but dpsgd is not chosen; choose it with"),
    "wrong type": (["seed=one"], "seed is 'one'; it should be a valid integer."),
    "fraction for a count": (["training.epochs=1.5"], "training.epochs is 1.5; it should be"),
    "out of range": (["protocol.replicates=1"], "protocol.replicates is 1; it should be greater"),
    "negative": (["seed=-1"], "seed is -1; it should be greater than or equal to 0."),
    "not finite": (["training.lr=nan"], "training.lr is nan; give finite numbers only"),
    "unknown learning rate": (["training.lr=autos"], "is 'autos'; it should be a valid number or"),
    "negative learning rate": (["training.lr=-1"], "training.lr is -1; it should be greater than"),
    "empty grid": (["training.lr_grid=[]"], "lr_grid is empty; give at least one learning rate."),
    "grid with a rate twice": (["training.lr_grid=[1,1]"], "lr_grid names 1 more than once;"),
    "grid below zero": (
        ["training.lr_grid=[0.1,-1]"],
        "[0.1, -1]; its item -1 should be greater than 0.",
    ),
    "grid without a pilot": (["training.lr_grid=[0.3]"], "lr_grid is read with lr=auto only; add"),
    "share without a pilot": (
        ["training.lr_pilot_share=0.5"],
        "lr_pilot_share is read with lr=auto",
    ),
    "grid with nan": (["training.lr_grid=[nan]"], "give finite numbers only, not nan."),
    "pilot of nothing": (["training.lr_pilot_share=0"], "is 0; it should be greater than 0."),
    "unknown choice": (["protocol.inclusion=hal"], "it should be 'half' or 'all'."),
    "unknown control": (["control=x"], "it should be 'none', 'reseed' or 'matched'."),
    "unknown device": (["device=gpu"], "it should be 'auto', 'cpu' or 'cuda'."),
    "missing value": (["training.lr=???"], "training.lr has no value yet; give training.lr=VALUE."),
    "interpolation": (["output_dir=${nope}"], "output_dir refers to ${nope}: unknown key nope;"),
    "no equals sign": (["seed"], "'seed' cannot be read; write key=value"),
    "open bracket": (["seed=[1"], "'seed=[1' cannot be read;"),
    "no key": (["=3"], "has no key; write key=value."),
    "unknown flag": (["--bogus"], "unknown option --bogus;"),
    "two modes": (["-m", "--cfg", "job"], "give only one of"),
    "sweep without -m": (["seed=0,1"], "seed=0,1 names several values; add -m"),
    "swept experiment": (["-m", "+experiment=smoke,full_table"], "experiment cannot be swept;"),
    "arm set twice": (
        ["+experiment=smoke", "intervention=dpsgd"],
        "is set by the experiment's arm",
    ),
    "changed table": (["table.name=x"], "a table is fixed before anything runs"),
    "foreign class": (["dataset._target_=os.system"], "outside of the modules that may be"),
    "no such class": (["model._target_=trustbench.models.mlp.MPL"], "is not a class of models in"),
    "epochs without end": (
        ["intervention=dpsgd", "intervention.dpsgd.epochs=10000000000000"],
        "intervention.dpsgd.epochs is 10000000000000; it should be less than or equal to 100000",
    ),
    "no search path": (
        ["hydra.searchpath=[file:///nope]"],
        "'file:///nope', which is not a folder",
    ),
    "no config folder": (["--config-dir", "/nope"], "'/nope', which is not a folder"),
    "tracking address": (["tracking_uri=foo"], "tracking_uri is 'foo'; give null"),
    "output is a file": (["output_dir=/etc/passwd"], "/etc/passwd is a file; give a folder."),
    "matched alone": (["control=matched"], "control=matched needs an intervention"),
    "no data file": (["dataset=adult", "data_dir=nowhere"], "trustbench data fetch adult"),
    "unknown group": (
        ["dataset=adult", "dataset.sensitive=shoe_size", "data_dir=nowhere"],
        "shoe_size",
    ),
}


@pytest.mark.parametrize("kind", RUN)
def test_a_bad_run_is_one_sentence_and_exit_2(kind, tb, tmp_path, monkeypatch):
    args, sentence = RUN[kind]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUSTBENCH_OUTPUTS", str(tmp_path / "outputs"))
    done = tb(
        "run",
        *([] if "evaluator" in str(args) or "+exp" in str(args) else ["evaluator=utility"]),
        *args,
    )
    assert done.code == 2, done.err
    complaints = [x for x in done.err.splitlines() if x.startswith("trustbench: ")]
    told = complaints or [x for x in done.err.splitlines() if x.startswith("refused")]
    assert len(told) == 1, done.err
    assert sentence in done.err
    assert "Traceback" not in done.err
    assert not list(tmp_path.glob("outputs/arms/*"))


@pytest.mark.parametrize("command", ["run", "plan"])
def test_an_unknown_code_in_a_data_file_is_one_sentence_and_exit_2(
    command, tb, tmp_path, shared_data
):
    path = tmp_path / "german.data"
    text = (shared_data / "german" / path.name).read_text()
    path.write_text(text.replace(" A93 ", " A99 ", 2))
    done = tb(command, "dataset=german", f"data_dir={tmp_path}", "evaluator=utility")
    assert done.code == 2, done.err
    told = [x for x in (done.out + done.err).splitlines() if "A99" in x]
    assert len(told) == 1
    assert f"column personal_status_sex of {path} holds unknown codes" in told[0]
    assert "'A99' in 2 rows (first on line 1); known: A91, A92, A93, A94, A95; correct" in told[0]
    assert "Traceback" not in done.err


def test_there_are_more_than_twenty_kinds():
    assert len(RUN) > 20


def test_all_problems_of_a_run_are_told_at_once(tb):
    done = tb("run", "evaluator=utility", "seed=-1", "training.epochs=0", "model.hidden=x")
    assert done.code == 2
    assert len([x for x in done.err.splitlines() if x.startswith("trustbench: ")]) == 3


@pytest.mark.parametrize("kind", ["unknown key", "swept experiment", "unknown flag"])
def test_a_process_of_its_own_says_the_same(kind, spawn, outside):
    args, sentence = RUN[kind]
    process = spawn("run", *args)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    assert sentence in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"schema_version": 99}', "schema 99; this trustbench reads schema 3. Upgrade trustbench"),
        ('{"schema_version": 1}', "schema 1; this trustbench reads schema 3. An older trustbench"),
        ('{"schema_version": 3, "id"', "is not a complete record"),
        ("[]", "is not a complete record"),
        ("", "is not a complete record"),
    ],
)
def test_a_record_that_cannot_be_read_is_one_warning(tb, tmp_path, text, sentence):
    path = tmp_path / "arms" / "x" / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    done = tb("summarize", "--from", tmp_path)
    assert done.code == 2
    warning, error = done.err.splitlines()
    assert warning.startswith(f"trustbench: warning: {path}")
    assert sentence in warning
    assert "warning" not in error


def test_a_damaged_list_of_arms_is_refused(tb, tmp_path):
    path = tmp_path / "sweeps" / "mine.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"experiment": "mine", "ar')
    done = tb("summarize", "--from", tmp_path)
    assert done.code == 2
    assert "mine.json is not a complete list of a sweep's arms; run the sweep again" in done.err


def test_a_user_plugin_that_cannot_be_imported_is_one_sentence(tb, outside):
    outside.write("evaluator/typo", "# x\ntypo:\n  _target_: outsiders.Hit\n")
    done = tb("run", *outside.args, "evaluator=typo")
    assert done.code == 2
    assert "is not a class of evaluators in outsiders; did you mean 'Hits'?" in done.err
    done = tb("run", *[a for a in outside.args if not a.startswith("plugins")])
    assert done.code == 2
    assert "add its module to the list: 'plugins=[outsiders]'" in done.err


def test_a_user_plugin_that_lacks_a_method_is_one_sentence(tb, outside):
    outside.write("evaluator/half", "# x\nhalf:\n  _target_: outsiders.Aspectless\n")
    done = tb("run", *outside.args, "evaluator=half")
    assert done.code == 2
    assert "'outsiders.Aspectless', but that class lacks `measure`" in done.err
    assert f"add it in {outside.folder / 'outsiders.py'}." in done.err
    assert "Traceback" not in done.err


MIXED = """
# @package _global_
hydra:
  mode: MULTIRUN
  sweeper:
    arms:
      refused: [seed=1, 'evaluator=[hits,refuses]']
      measured: [seed=2, evaluator=hits]
"""


@pytest.mark.parametrize("launcher", ["basic", "pool"])
def test_a_refused_arm_does_not_stay_started_and_a_failed_one_outweighs_it(launcher, tb, outside):
    args = [a for a in outside.args if not a.startswith("evaluator=")]
    args += ["+experiment=mixed", "intervention=temperature", f"hydra/launcher={launcher}"]
    outside.write("experiment/mixed", MIXED)
    assert tb("run", *args).code == 2
    found = {r.arm.seed: r for r in Store(outside.outputs).records()}
    assert {k: r.status for k, r in found.items()} == {1: "failed", 2: "ok"}
    assert found[1].reason == "the toy has no rows to measure; give more."
    assert [e.evaluator.name for e in found[1].evaluations.values()] == ["hits"]
    outside.write("experiment/mixed", MIXED + "      failed: [seed=3, evaluator=broken]\n")
    assert tb("run", *args).code == 1
    statuses = {r.arm.seed: r.status for r in Store(outside.outputs).records()}
    assert statuses == {1: "failed", 2: "ok", 3: "failed"}
