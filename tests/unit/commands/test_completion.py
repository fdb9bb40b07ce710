"""Completion: what half a command line can become, through the scripts of real shells too."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trustbench.commands import cli
from trustbench.commands.candidates import SHELLS, candidates
from trustbench.commands.completion import SCRIPTS
from trustbench.store.records import Store
from trustbench.store.schema import Sweep

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sele", ["select"]),
        ("help ver", ["verify"]),
        ("run datas", ["dataset="]),
        ("run dataset=comp", ["dataset=compas"]),
        ("run dataset=adult,comp", ["dataset=adult,compas"]),
        ("run intervention=[dpsgd,pg", ["intervention=[dpsgd,pgd_at"]),
        ("run +experiment=dp", ["+experiment=dp_vs_fairness"]),
        ("plan protocol.rep", ["protocol.replicates="]),
        ("run --fail", ["--fail-fast"]),
        ("run --shell", []),
        ("gate --pol", ["--policy"]),
        ("gate --policy ba", ["bank"]),
        ("data ch", ["check"]),
        ("list pol", ["policies"]),
        ("completion z", ["zsh"]),
        ("nonsense --po", []),
        ("audit --data da", []),
        ("gate --config-dir nowhere --policy ba", []),
    ],
)
def test_half_a_command_line_becomes_what_there_is(line, expected):
    assert candidates(line.split(" ")) == expected


def test_experiments_and_arms_come_from_the_store(tmp_path):
    store = Store(tmp_path)
    store.write_sweep(
        Sweep(
            experiment="mine",
            table="cresswell",
            arms=["a" * 16],
            evaluations=[],
            names={"dpsgd_eps3": "a" * 16},
        )
    )
    given = ["gate", "--from", str(store.root)]
    assert candidates([*given, "--experiment", "m"]) == ["mine"]
    assert candidates([*given, "--arm", ""]) == ["dpsgd_eps3"]


def test_every_shell_that_is_named_has_a_script(capsys):
    assert set(SHELLS) == set(SCRIPTS)
    assert cli.main(["completion", "tcsh"]) == 2
    assert "unknown shell 'tcsh'; Available: bash, fish, zsh." in capsys.readouterr().err


BASH = """
complete() { :; }
source /dev/stdin <<< "$(trustbench completion bash)"
COMP_LINE=$1 COMP_POINT=${#1}
_trustbench
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("trustbench sel", "select"),
        ("trustbench help ver", "verify"),
        ("trustbench run dataset=comp", "compas"),  # bash takes what stands behind the `=`
        ("trustbench run dataset=", "acs_income adult celeba"),
    ],
)
def test_the_script_of_bash_completes(tmp_path, line, expected):
    command = tmp_path / "trustbench"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m trustbench "$@"\n')
    command.chmod(0o755)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    bash = shutil.which("bash")
    done = subprocess.run(
        [bash, "-c", BASH, "bash", line], capture_output=True, text=True, env=env, check=True
    )
    assert " ".join(done.stdout.split()).startswith(expected)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_accept_their_scripts(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    subprocess.run([shell, "-n"], input=SCRIPTS[shell], text=True, check=True)


@pytest.mark.parametrize(
    "args", [["-V"], ["run", "a=b", "--version"], ["gate", "-V"], ["--version"]]
)
def test_the_version_is_told_anywhere(args, capsys):
    assert cli.main(args) == 0
    assert capsys.readouterr().out.startswith("trustbench ")


def test_a_version_that_is_the_value_of_a_flag_is_a_value(capsys):
    assert cli.main(["gate", "--policy", "-V"]) == 2
    assert capsys.readouterr().out == ""
    assert candidates(["run", "--vers"]) == []


def test_help_of_a_command_is_its_own(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["help", "gate"])
    assert done.value.code == 0
    assert "--policy" in capsys.readouterr().out
