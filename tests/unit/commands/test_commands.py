"""The subcommands on stores made by hand, and the edges of a sweep."""

from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.unit.tracking.test_tracking import make_record
from trustbench import tracking
from trustbench.api.runs import begin
from trustbench.commands import cli
from trustbench.commands.run import exit_code
from trustbench.config.compose import RunRequest, compose, composed_arm, conf_dir
from trustbench.config.compose.task import Task
from trustbench.errors import ConfigError, TrustbenchError
from trustbench.execution.job import ArmOutcome
from trustbench.store.records import Store, Sweep

pytestmark = pytest.mark.usefixtures("handmade_ids")


@pytest.fixture
def store(tmp_path):
    """Two sweeps: one of a baseline and a treated arm, one of nothing."""
    store = Store(tmp_path)
    treated = make_record("1" * 16)
    baseline = make_record("2" * 16)
    baseline = baseline.model_copy(
        update={"arm": baseline.arm.model_copy(update={"interventions": []})}
    )
    for record in (treated, baseline):
        store.write(record)
    arms = [baseline.id, treated.id]
    for name, chosen in (("first", arms), ("second", arms[:1])):
        store.write_sweep(
            Sweep(
                experiment=name,
                table="cresswell",
                arms=chosen,
                evaluations=["fairness-12345678"],
                names={},
            )
        )
    return store


def outcome(status):
    return ArmOutcome(arm_id=None, label="x", status=status)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["ok", "unsupported"], 0),
        (["ok", "failed"], 1),
        (["timeout"], 1),
        (["failed", "refused", "ok"], 1),
        (["refused", "timeout"], 1),
        (["refused", "ok", "unsupported"], 2),
        ([], 0),
    ],
)
def test_the_exit_code_is_that_of_the_worst_arm(statuses, code):
    assert exit_code([outcome(s) for s in statuses]) == code


def test_several_sweeps_need_a_choice(store, capsys):
    assert cli.main(["summarize", "--from", str(store.root)]) == 2
    assert "holds the sweeps of first, second; choose one" in capsys.readouterr().err
    args = ["summarize", "--from", str(store.root), "--experiment"]
    assert cli.main([*args, "frist"]) == 2
    assert "did you mean 'first'?" in capsys.readouterr().err
    assert cli.main([*args, "first", "--format", "md"]) == 0
    assert "digits" in capsys.readouterr().out


def test_a_table_is_chosen_by_name_or_file(store, capsys, tmp_path):
    args = ["summarize", "--from", str(store.root), "--experiment", "first", "--format", "csv"]
    assert cli.main([*args, "--table", "creswell"]) == 2
    assert "did you mean 'cresswell'?" in capsys.readouterr().err
    mine = tmp_path / "mine.yaml"
    mine.write_text((conf_dir() / "table" / "cresswell.yaml").read_text())
    out = tmp_path / "out" / "table.csv"
    assert cli.main([*args, "--table", str(mine), "--output", str(out)]) == 0
    assert out.read_text().count("\n") > 5


def test_sync_uploads_each_record_once_with_its_sweep(store, capsys):
    assert cli.main(["sync", "--from", str(store.root)]) == 0
    assert capsys.readouterr().out == "uploaded 2 records; 0 were there.\n"
    assert tracking.fetch_sweep(store, None, "first") == store.sweep("first")
    assert {r.id for r in tracking.fetch_records(store, None, "first")} == {"1" * 16, "2" * 16}
    assert cli.main(["sync", "--from", str(store.root)]) == 0
    assert capsys.readouterr().out == "uploaded 0 records; 2 were there.\n"


def test_a_folder_that_cannot_be_made_stops_the_run_before_any_arm(tmp_path):
    arm = composed_arm(compose(["evaluator=utility", f"output_dir={tmp_path}/a/b"]))
    (tmp_path / "a").write_text("in the way since the configuration was checked")
    asked = RunRequest(
        {"arm": arm}, "default", conf_dir() / "table" / "cresswell.yaml", sweep=False
    )
    with pytest.raises(ConfigError, match="output_dir cannot be made"):
        begin(asked)


def composed():
    """A task whose sweep has been checked, and of which nothing is finished yet."""
    task = Task(print, print)
    task.request = RunRequest({}, "default", Path(), sweep=True)
    return task


def test_a_worker_that_dies_is_told_in_one_sentence():
    class Launcher:
        def launch(self, jobs, initial_job_idx):
            raise BrokenProcessPool("killed")

    with pytest.raises(TrustbenchError, match="a worker process died"):
        composed().launch(Launcher(), [["seed=0"]], 0)


def test_results_come_back_in_the_order_of_the_jobs():
    class Launcher:
        def launch(self, jobs, initial_job_idx):
            return [SimpleNamespace(return_value=j[0]) for j in jobs]

    task = composed()
    task.launch(Launcher(), [["a"], ["b"]], 0)
    task.launch(Launcher(), [["c"]], 2)
    assert task.results == ["a", "b", "c"]


def test_data_needs_a_name_for_everything_but_the_list(capsys, tmp_path):
    folder = ["--data-dir", str(tmp_path)]
    assert cli.main(["data", "list", *folder]) == 0
    said = capsys.readouterr().out
    assert "digits         embedded" in said
    assert "adult.data: missing" in said
    assert cli.main(["data", "check", "digits", *folder]) == 0
    assert cli.main(["data", "check", "adult", *folder]) == 1
    assert cli.main(["data", "fetch", "digits", *folder]) == 0
    assert "digits needs no files." in capsys.readouterr().out
    assert cli.main(["data", "fetch", *folder]) == 2
    assert "data fetch needs the name of one dataset" in capsys.readouterr().err
    assert cli.main(["data", "list", "digits", *folder]) == 2
    assert cli.main(["data", "check", "adlut", *folder]) == 2
    assert "did you mean 'adult'?" in capsys.readouterr().err
