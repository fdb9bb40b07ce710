"""What `make test-components` does on a machine that lacks a component."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "components.sh"
TOOLS = ("sh", "dirname", "sed", "mktemp", "tail", "rm", "ls", "cat")


@pytest.fixture
def machine(tmp_path):
    """Runs the script on a machine without a component, where programs only note their calls."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    script = tmp_path / "scripts" / SCRIPT.name
    script.parent.mkdir()
    shutil.copy(SCRIPT, script)

    def program(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(*words, user=0, apt="exit 0"):
        noted = f'echo "${{0##*/}} $*" >>{tmp_path}/calls'
        program(tmp_path / "bin" / "id", f"echo {user}")
        program(tmp_path / "bin" / "apt-get", f"{noted}\n{apt}")
        program(tmp_path / ".venv" / "bin" / "python", noted)
        done = subprocess.run(
            [script, *words], env={"PATH": str(tmp_path / "bin")}, capture_output=True,
            text=True, check=False, timeout=60,
        )  # fmt: skip
        calls = tmp_path / "calls"
        return done, calls.read_text().splitlines() if calls.exists() else []

    return run


def test_what_is_missing_is_installed_and_no_test_may_be_skipped(machine):
    done, calls = machine("slurm")
    assert done.returncode == 0, done.stderr
    update, install, tested = calls
    assert update == "apt-get update"
    assert install.endswith("munge slurmctld slurmd slurm-client")
    assert "-m cluster --no-skips tests/cluster/test_slurm.py" in tested


@pytest.mark.parametrize(
    ("words", "options", "sentence"),
    [
        (["slurm"], {"user": 1000}, "needs root"),
        (["slurm"], {"apt": "exit 100"}, "apt-get cannot install: munge slurmctld"),
        (["rey"], {}, "there is no component rey; there are ray, postgresql, slurm and none"),
        ([], {}, "scripts/components.sh COMPONENT..."),
    ],
)
def test_what_cannot_be_had_is_an_error_in_one_sentence(machine, words, options, sentence):
    done, calls = machine(*words, **options)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not any("pytest" in call for call in calls)


def test_none_is_said_and_tests_nothing(machine):
    done, calls = machine("none")
    assert (done.returncode, calls) == (0, [])
    assert "no component is tested, as COMPONENTS=none asks" in done.stdout


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--no-skips",), 1)])
def test_with_no_skips_a_skipped_test_fails_the_run(tmp_path, options, code):
    shutil.copy(SCRIPT.parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip('missing')\n"
    )
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, *options]
    done = subprocess.run(
        [sys.executable, *words, tmp_path], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    assert ("1 tests were skipped, which --no-skips forbids." in done.stdout) == bool(code)
