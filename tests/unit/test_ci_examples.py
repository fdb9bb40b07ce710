"""The example workflows for CI parse, and their gate runs as written."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from tests.unit.commands.test_gate_command import DP, GAP, ROOT, SMALL, write_store
from tests.unit.summary.builder import record, truly_named
from tests.unit.summary.table_data import with_measurements, with_strongest
from trustbench.store.record_files import to_json
from trustbench.store.records import Evaluation, PluginSpec


def gate_lines():
    """(where, command line) of every gate in the examples."""
    github = yaml.safe_load((ROOT / "docs" / "ci" / "github-actions.yml").read_text())
    for name, job in github["jobs"].items():
        for step in job["steps"]:
            if "trustbench gate" in step.get("run", ""):
                yield pytest.param(step["run"], id=f"github-{name}")
    gitlab = yaml.safe_load((ROOT / "docs" / "ci" / "gitlab-ci.yml").read_text())
    for line in gitlab["trustworthiness"]["script"]:
        if line.startswith("trustbench gate"):
            yield pytest.param(line, id="gitlab")


def whole_row(records):
    """The records with what row P of the shipped table reads beyond the hand-made metrics."""
    out = []
    for r in map(with_strongest, records):
        same = r.evaluations["robustness-s1"].measurements["racc"]
        agreement = Evaluation(
            evaluator=PluginSpec(name="explanation_agreement"),
            status="ok",
            measurements={"spearman": same},
        )
        found = with_measurements(r, "robustness", racc_cond=same).evaluations
        more = {**found, "explanation_agreement-s1": agreement}
        out.append(r.model_copy(update={"evaluations": more}))
    return out


def test_the_examples_parse_and_keep_what_they_write():
    github = yaml.safe_load((ROOT / "docs" / "ci" / "github-actions.yml").read_text())
    assert set(github["jobs"]) == {"gate", "production"}
    assert github["jobs"]["gate"]["steps"][-1]["with"]["path"] == "gate.xml"
    gitlab = yaml.safe_load((ROOT / "docs" / "ci" / "gitlab-ci.yml").read_text())
    job = gitlab["trustworthiness"]
    assert job["artifacts"]["reports"]["junit"] == "gate.xml"
    assert job["allow_failure"]["exit_codes"] == [4]
    assert len(list(gate_lines())) == 3


@pytest.mark.parametrize("line", list(gate_lines()))
@pytest.mark.parametrize(
    ("shift", "measured", "code"), [({GAP: 0.3}, True, 3), ({}, True, 0), ({}, False, 4)]
)
def test_the_examples_gate_runs_as_written(line, shift, measured, code, tmp_path):
    both = ("tuned", "memorising")
    baseline = [record(regime=r) for r in both]
    candidate = [record(DP, regime=r, shift=shift, noise=SMALL) for r in both]
    if measured:
        baseline, candidate = map(whole_row, (baseline, candidate))
    baseline, candidate = ([*map(truly_named, side)] for side in (baseline, candidate))
    write_store(tmp_path / "outputs", [*baseline, *candidate])
    write_store(tmp_path / "candidate", candidate)
    (tmp_path / "production").mkdir()
    for r in baseline:
        (tmp_path / "production" / f"{r.id}.json").write_bytes(to_json(r))
    environment = {k: v for k, v in os.environ.items() if k != "TRUSTBENCH_OUTPUTS"}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", line],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith("policy default 2: ")
    written = {p.name for p in tmp_path.iterdir()}
    if "GITHUB_STEP_SUMMARY" in line:
        assert (tmp_path / "summary.md").read_text().startswith("## policy default 2: ")
    if "junit" in line:
        assert ET.parse(tmp_path / "gate.xml").getroot().attrib["tests"] == "6"
    assert ("gate.json" in written) is ("gate.json" in line)
