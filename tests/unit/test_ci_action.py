"""The composite action of this repository runs its own steps as a runner would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.commands.test_gate_command import ROOT

ACTION = yaml.safe_load((ROOT / ".github" / "actions" / "gate" / "action.yml").read_text())
STEPS = {s["name"]: s for s in ACTION["runs"]["steps"] if "name" in s}
# stands in for the command: it notes its arguments and exits as it is told
RECORDER = """#!{python}
import json, os, sys
with open(os.environ["CALLS"], "a") as out:
    out.write(json.dumps(sys.argv[1:]) + "\\n")
sys.exit(int(os.environ.get("CODE", "0")))
"""
POLICY = """
name: bank
version: 1
description: What the scores have to keep.
table: cresswell
priorities: [{target: fairness, weight: 1}]
limits: [{metric: utility/accuracy, at_least: %s}]
"""


def step(name, cwd, path, **given):
    """Runs a step with inputs as a runner passes them; returns the process."""
    inputs = {k: v.get("default", "") for k, v in ACTION["inputs"].items()} | {
        k.replace("_", "-"): v for k, v in given.items()
    }
    env = {k: v for k, v in os.environ.items() if not k.startswith("TRUSTBENCH_")}
    env |= {
        variable: inputs[text.removeprefix("${{ inputs.").removesuffix(" }}")]
        for variable, text in STEPS[name]["env"].items()
    }
    env |= {"PATH": f"{path}{os.pathsep}{env['PATH']}", "GITHUB_STEP_SUMMARY": str(cwd / "said.md")}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    """A folder for PATH whose commands only note how they were called, and the calls."""
    for name in ("trustbench", "pip"):
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(RECORDER.format(python=sys.executable))
        script.chmod(0o755)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "bin", lambda: [
        json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()
    ]


def test_arguments_reach_the_command_one_a_line_and_unchanged(tmp_path, recorder):
    path, calls = recorder
    given = (
        "+experiment=dp_vs_fairness\nintervention=[none,dpsgd]\ndataset.path=my data;$(id).csv\n"
    )
    assert step("Install", tmp_path, path, install="trustbench==1.2\nmine\n").returncode == 0
    assert step("Measure", tmp_path, path, run=given, config_dir="conf").returncode == 0
    assert step("Gate", tmp_path, path, policy="bank", experiment="dp_vs_fairness").returncode == 0
    installed, measured, gated = calls()
    assert installed == ["install", "trustbench==1.2", "mine"]
    assert measured == ["run", *given.splitlines(), "--config-dir", "conf"]
    assert gated[:5] == ["gate", "--policy", "bank", "--format", "md"]
    assert gated[-6:] == [
        "--experiment",
        "dp_vs_fairness",
        "--format",
        "junit",
        "--output",
        "gate.xml",
    ]


@pytest.mark.parametrize(("code", "wanted", "ends"), [
    ("0", "fail", 0), ("1", "warn", 1), ("3", "warn", 3), ("4", "fail", 4), ("4", "warn", 0),
])  # fmt: skip
def test_the_exit_code_decides_the_job(code, wanted, ends, tmp_path, recorder, monkeypatch):
    monkeypatch.setenv("CODE", code)
    done = step("Gate", tmp_path, recorder[0], policy="bank", inconclusive=wanted)
    assert done.returncode == ends
    assert ("::warning" in done.stdout) is (code == "4" and ends == 0)


@pytest.fixture
def scores(tmp_path):
    """A table of predictions, three in four of them right; returns how an audit is asked for."""
    rows = [f"{'ab'[i % 2]},{['no', 'yes'][i % 3 > 0]},{[0.2, 0.8][i % 3 > 0]}" for i in range(400)]
    rows[::4] = [row.replace("0.8", "0.1").replace("0.2", "0.9") for row in rows[::4]]
    (tmp_path / "scores.csv").write_text("\n".join(["group,label,score", *rows]))
    return [
        "--model", "column:score", "--data", "scores.csv", "--target", "label", "--sensitive",
        "group", "--unseen", "--evaluator", "utility",
    ]  # fmt: skip


@pytest.mark.parametrize(("floor", "code", "first"), [
    ("0.5", 0, "Every demand of the policy is kept"), ("0.9", 3, "The policy is broken"),
])  # fmt: skip
def test_predictions_are_audited_and_the_summary_begins_with_the_decision(
    floor, code, first, tmp_path, scores
):
    (tmp_path / "bank.yaml").write_text(POLICY % floor)
    done = step(
        "Gate", tmp_path, Path(sys.executable).parent, policy="bank.yaml", audit="\n".join(scores)
    )
    told = [line for line in done.stderr.splitlines() if not line.startswith("[audit] ")]
    assert (done.returncode, told) == (code, [])
    said = (tmp_path / "said.md").read_text().splitlines()
    assert said[0].startswith("## policy bank 1: ")
    assert said[2].startswith(f"**{first}")


def test_the_gitlab_template_audits_as_written(tmp_path, scores):
    template = yaml.safe_load((ROOT / "docs" / "ci" / "gitlab-ci.yml").read_text())
    line = next(s for s in template[".trustbench-audit"]["script"] if s.startswith("trustbench"))
    (tmp_path / "bank.yaml").write_text(POLICY % "0.9")
    env = os.environ | {
        "AUDIT": " ".join(scores),
        "POLICY": "bank.yaml",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(["bash", "-ec", line], cwd=tmp_path, env=env, check=False)
    assert done.returncode == 3
    assert "The policy is broken" in (tmp_path / "audit.md").read_text()


def test_every_input_of_the_action_is_used_and_documented():
    page = (ROOT / "docs" / "ci.md").read_text()
    text = (ROOT / ".github" / "actions" / "gate" / "action.yml").read_text()
    for name in ACTION["inputs"]:
        assert f"inputs.{name}" in text
        assert f"`{name}`" in page
