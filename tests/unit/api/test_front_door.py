"""`import trustbench`: what it offers, that it costs nothing, and what calls return and raise."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trustbench
from tests.unit.commands.test_gate_command import write_store
from tests.unit.summary.builder import method, record

pytestmark = pytest.mark.usefixtures("handmade_ids")

DP = method("dpsgd", epsilon=3.0)
HEAVY = {"torch", "numpy", "pandas", "hydra", "omegaconf", "mlflow", "pydantic", "yaml", "rich"}
NOISE = {"utility/accuracy": 0.1, "fairness/acc_gap": 0.01}  # without any spread: not applicable


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A folder with one sweep: the baseline and dpsgd, in both regimes."""
    arms = [
        r
        for regime in ("tuned", "memorising")
        for r in (record(regime=regime), record(DP, regime=regime, noise=NOISE))
    ]
    return write_store(tmp_path_factory.mktemp("front") / "outputs", arms).root


def typed_imports():
    """{module: names} that `trustbench/__init__.py` shows to type checkers."""
    tree = ast.parse(Path(trustbench.__file__).read_text(encoding="utf-8"))
    [block] = [n for n in tree.body if isinstance(n, ast.If)]
    return {n.module: {a.name for a in n.names} for n in block.body}


def test_every_public_name_is_typed_listed_and_there():
    assert typed_imports() == {home: set(names) for home, names in trustbench._HOMES.items()}
    offered = {n for names in trustbench._HOMES.values() for n in names} | {"__version__"}
    assert offered == set(trustbench.__all__)
    assert list(trustbench.__all__) == sorted(trustbench.__all__)
    for name in trustbench.__all__:
        assert getattr(trustbench, name) is not None
        assert name in dir(trustbench)
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        _ = trustbench.rnu


def test_the_import_costs_nothing():
    code = "import sys, trustbench; print(*sys.modules)"
    root = Path(trustbench.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert {name for name in imported if name.startswith("trustbench")} == {"trustbench"}
    assert not {name.split(".")[0] for name in imported} & HEAVY


def test_records_know_their_sweep(store):
    records = trustbench.load_records(store)
    assert len(records) == 4
    assert records.sweep.experiment == "dp_vs_fairness"
    assert [r.id for r in records] == [records[k].id for k in range(4)]
    assert len(records[1:]) == 3
    frame = records.frame()
    one = frame[(frame.record == records[0].id) & (frame.metric == "acc_gap")]
    assert len(one) == records[0].replicates
    assert one.value.mean() == pytest.approx(0.22, abs=0.05)
    assert set(frame.arm) >= {"none"}


def test_cells_are_a_frame_of_what_the_renderings_say(store):
    tables = trustbench.table(trustbench.load_records(store))
    assert len(tables.cells) == 25
    cell = tables.cells.set_index(["source", "target"]).loc[("privacy", "fairness")]
    assert cell.intervention == "dpsgd"
    assert cell.metric == "acc_gap"
    assert cell.low < cell.effect < cell.high
    assert cell.verdict in tables.render("md")
    missing = tables.cells[tables.cells.effect.isna()]
    assert len(missing) > 0
    assert missing.reason.notna().all()
    assert len(tables.utility) == 5
    assert (tables.arms.target == "utility").any()
    assert "P→F" in str(tables) or "privacy" in str(tables)
    assert tables._repr_html_().count("<td") == 36  # five rows and the control, with utility


def test_a_gate_decides_as_the_command_does(store):
    records = trustbench.load_records(store)
    gated = trustbench.gate(records, "default")
    assert gated.exit_code == {"pass": 0, "violated": 3, "inconclusive": 4}[gated.outcome]
    assert set(gated.decisions.arm) == {"dpsgd epsilon=3"}
    assert str(gated) == gated.render("terminal")
    none, dpsgd = (
        next(r for r in records if bool(r.arm.interventions) == treated
             and r.arm.training["regime"] == "tuned")
        for treated in (False, True)
    )  # fmt: skip
    same = trustbench.gate([dpsgd], "default", baseline=[none])
    assert len(same.gate.candidates) == 1
    assert trustbench.select(records, "default").exit_code in (0, 3, 4)


def test_a_report_is_one_file(store, tmp_path):
    path = trustbench.report(trustbench.load_records(store), tmp_path / "r.html")
    assert path.read_text().lower().startswith("<!doctype html")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda r: trustbench.load_records("nowhere"), "nowhere is not a folder of records"),
        (lambda r: trustbench.load_records(r.store.root, "dp"), "no sweep of experiment 'dp'"),
        (lambda r: trustbench.load_records(r.store.root, evaluations=["x"]), "no evaluation 'x'"),
        (lambda r: trustbench.table(r, "creswell"), "did you mean 'cresswell'"),
        (lambda r: trustbench.table([]), "there is no record to make a table of"),
        (lambda r: trustbench.table(r).render("mp3"), "unknown format 'mp3'"),
        (lambda r: trustbench.gate(r, "defualt"), "did you mean 'default'"),
        (lambda r: trustbench.gate(r, arms=["dpsdg"]), "no candidate is called 'dpsdg'"),
        (lambda r: trustbench.gate(r).render("mp3"), "unknown format 'mp3'"),
        (lambda r: trustbench.select([], "default"), "there is no record to choose from"),
        (lambda r: trustbench.report(r, policy="defualt"), "did you mean 'default'"),
        (lambda r: trustbench.run("--cfg", "job"), "--cfg is a flag of the command line"),
        (lambda r: trustbench.run("sede=3"), "did you mean 'seed'"),
        (lambda r: trustbench.run({"model": "mlpp"}), "did you mean 'mlp'"),
    ],
)
def test_what_is_wrong_is_a_user_error_in_one_sentence(store, call, sentence):
    with pytest.raises(trustbench.UserError, match=sentence) as caught:
        call(trustbench.load_records(store))
    assert "\n" not in str(caught.value)


def test_several_sweeps_are_chosen_from(store, tmp_path):
    records = trustbench.load_records(store)
    other = write_store(tmp_path / "two", list(records))
    other.write_sweep(records.sweep.model_copy(update={"experiment": "again"}))
    with pytest.raises(trustbench.UserError, match="experiment='again'"):
        trustbench.load_records(tmp_path / "two")
    assert trustbench.load_records(tmp_path / "two", "again").sweep.experiment == "again"


def test_one_arm_is_one_record_and_a_refused_one_is_raised(tmp_path):
    small = ("model=logistic", "evaluator=[utility]", {"protocol.replicates": 2, "device": "cpu"})
    out = tmp_path / "it's here"
    records = trustbench.run(*small, output_dir=out)
    [record] = records
    assert record.status == "ok"
    assert records.sweep is None
    assert len(records.frame()) % 2 == 0
    with pytest.raises(trustbench.UserError, match="trustbench data fetch"):
        trustbench.run(*small, "dataset=adult", output_dir=out, data_dir=tmp_path)


@pytest.mark.slow  # the fork server starts
def test_a_script_without_a_main_guard_runs_a_sweep(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text(
        "import trustbench\n"
        "print('once')\n"
        "records = trustbench.run('intervention=none,dpsgd', 'evaluator=[utility]',\n"
        "                         'protocol.replicates=2', 'training.epochs=1', multirun=True)\n"
        "print(*(r.status for r in records))\n"
    )
    root = str(Path(trustbench.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={"PYTHONPATH": root, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["once", "ok", "ok"], done.stderr
