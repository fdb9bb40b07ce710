"""A relative path begins where the command was given, wherever an arm's job starts."""

import pickle
import subprocess
import sys

import pytest

from tests.unit.api.audited import made_table
from trustbench.config.compose import compose, composed_arm, conf_dirs

WORDS = ("dataset=table", "dataset.path=rows/credit.csv", "dataset.target=repaid")
COMPOSE = """
import pickle, sys
from pathlib import Path
from trustbench.config.compose import compose, composed_arm, conf_dirs

arm = composed_arm(compose(sys.argv[2:], conf_dirs(None)))
Path(sys.argv[1]).write_bytes(pickle.dumps(arm))
"""
JOB = """
import pickle, sys
from pathlib import Path
from trustbench import __version__
from trustbench.errors import UserError
from trustbench.execution.plan import plan
from trustbench.launching.worker import run_arm

def work(arm):
    try:
        return plan(arm).arm_id
    except UserError as error:
        return str(error)

arm = pickle.loads(Path(sys.argv[1]).read_bytes())
Path(sys.argv[2]).write_text(run_arm(work, arm, __version__))
"""


def in_a_job(arm, here):
    """What an arm's job finds that starts in the folder `here`."""
    here.mkdir()
    (here / "arm").write_bytes(pickle.dumps(arm))
    files = [str(here / "arm"), str(here / "found")]
    subprocess.run([sys.executable, "-c", JOB, *files], cwd=here, check=True)
    return (here / "found").read_text()


@pytest.mark.slow
def test_a_relative_path_means_the_same_in_a_job_that_starts_elsewhere(tmp_path, monkeypatch):
    home, other = tmp_path / "home", tmp_path / "other"
    for name in (home, other):
        (name / "rows").mkdir(parents=True)
        made_table().to_csv(name / "rows" / "credit.csv", index=False)
    found = []
    for name in (home, other):
        monkeypatch.chdir(name)
        words = [*WORDS, f"output_dir={tmp_path}", f"data_dir={tmp_path}/data"]
        arm = composed_arm(compose(words, conf_dirs(None)))
        assert arm.folder == name and arm.dataset.plugin.path == "rows/credit.csv"
        found.append(in_a_job(arm, tmp_path / f"{name.name}-job"))
    assert len(found[0]) == 16
    assert found[0] == found[1], "the id depends on the content, not on where the file lies"
    (other / "rows" / "credit.csv").unlink()
    assert "rows/credit.csv; correct dataset.path" in in_a_job(arm, tmp_path / "gone")


NET = """
from torch import nn

def build(n_features, n_classes):
    return nn.Linear(n_features, n_classes)
"""
MODULE = ("model=module", "protocol.replicates=2", "evaluator=[utility]")


@pytest.mark.slow
def test_a_module_of_a_relative_file_is_found_in_a_job_that_starts_elsewhere(tmp_path, monkeypatch):
    target, found = "nets/net.py:build", []
    for name in ("home", "other"):
        (tmp_path / name / "nets").mkdir(parents=True)
        (tmp_path / name / "nets" / "net.py").write_text(NET)
    for name in ("home", "other"):
        monkeypatch.chdir(tmp_path / name)
        folders = [f"output_dir={tmp_path}", f"data_dir={tmp_path}/data"]
        words = [*MODULE, f"model.target={target}", *folders]
        made = subprocess.run(
            [sys.executable, "-c", COMPOSE, str(tmp_path / f"{name}.arm"), *words],
            check=True, capture_output=True,
        )  # fmt: skip
        assert not made.stderr
        arm = pickle.loads((tmp_path / f"{name}.arm").read_bytes())
        assert arm.model.spec().params["target"] == target
        found.append(in_a_job(arm, tmp_path / f"{name}-job"))
    assert len(found[0]) == 16, found[0]
    assert found[0] == found[1], "the id depends on the content, not on where the file lies"
    (tmp_path / "other" / "nets" / "net.py").write_text(NET.replace("Linear", "Identity"))
    assert "its source has changed since this arm was composed" in in_a_job(arm, tmp_path / "late")
