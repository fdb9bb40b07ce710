"""Collecting the examples of a module leaves every module of the package as it is imported."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys, pytest
code = pytest.main(["--collect-only", "-q", "trustbench/contracts/metrics.py"])
from trustbench import contracts
from trustbench.contracts import metrics
print("same module:", contracts.Metric is metrics.Metric is sys.modules[metrics.__name__].Metric)
sys.exit(code)
"""


def test_examples_that_are_collected_first_load_no_second_module():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "metrics.Metric.matches" in done.stdout
    assert "same module: True" in done.stdout
