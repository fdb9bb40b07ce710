"""Streams that are closed, full or ASCII cost no command its work, and no sweep its results."""

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import trustbench
from trustbench.commands import cli
from trustbench.launching.streams import open_streams, safe_streams
from trustbench.store.records import Store

ROOT = Path(__file__).resolve().parents[3]
ARMS = {
    "dataset": "digits",
    "intervention": "none,balanced_weights,conformal",
    "evaluator": ["utility", "fairness"],
    "training.epochs": 1,
    "protocol.replicates": 2,
    "hydra/launcher": "basic",
}
SWEEP = ["run", "-m", *(
    f"{k}={v}" if isinstance(v, str | int) else f"{k}=[{','.join(v)}]" for k, v in ARMS.items()
)]  # fmt: skip


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The results of a sweep of three arms."""
    folder = tmp_path_factory.mktemp("streams") / "outputs"
    trustbench.run(ARMS, multirun=True, output_dir=folder)
    return folder


def commands(outputs, made):
    """Every command on the sweep, with the files that it writes in `made`; name -> arguments."""
    source = ["--from", str(outputs)]
    policy = ["--policy", "bank", *source]
    arm = ["--arm", "balanced_weights", "--replicate", "0", *source]
    return {
        "run": [*SWEEP, f"output_dir={outputs}"],
        "run one": ["run", "dataset=digits", "protocol.replicates=2", "training.epochs=1",
                    "evaluator=[utility,fairness]", f"output_dir={outputs}"],
        "summarize": ["summarize", *source],
        "summarize json": ["summarize", *source, "--format", "json"],
        "gate": ["gate", *policy, "--arm", "balanced_weights"],
        "report": ["report", *source, "--output", str(made / "report.html")],
        "cell": ["cell", "privacy", "fairness", *source],
        "select": ["select", *policy],
        "list": ["list"],
        "export": ["export", *arm, "--output", str(made / "exported")],
        "doctor": ["doctor", *source],
        "data check": ["data", "check", "digits"],
        "plan": ["plan", "dataset=digits", f"output_dir={outputs}"],
    }  # fmt: skip


def said_by(arguments, encoding, errors):
    """(exit code, standard output) of a command whose streams have an encoding."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding, errors, write_through=True) for _ in "oe"]
    kept, (sys.stdout, sys.stderr) = (sys.stdout, sys.stderr), streams
    try:
        code = cli.main(arguments)
    finally:
        sys.stdout, sys.stderr = kept
    said = [stream.buffer.getvalue().decode("utf-8") for stream in streams]
    assert "Traceback" not in said[1], said[1]
    return code, said[0]


def test_every_command_says_in_ascii_what_it_says(outputs, tmp_path):
    symbols = 0
    for name in commands(outputs, tmp_path):
        found = []
        for encoding in ("utf-8", "ascii"):
            made = tmp_path / f"{name}-{encoding}"
            made.mkdir()
            found.append(said_by(commands(outputs, made)[name], encoding, "strict"))
        (code, plain), (ascii_code, ascii_said) = found
        assert code == ascii_code, name
        assert bool(plain) == bool(ascii_said), name
        if "json" in name:  # for a machine: the same bytes under any locale
            assert plain == ascii_said
        else:
            assert ascii_said.isascii(), name
            symbols += not plain.isascii()
    assert symbols  # some do print what ASCII lacks


CLOSED = """
import sys
from trustbench.commands import cli
from tests.unit.commands.test_streams import commands
from pathlib import Path
outputs, made = map(Path, sys.argv[1:])
codes = {}
for name, arguments in commands(outputs, made).items():
    codes[name] = cli.main(arguments)
    assert sys.stdout is not None and sys.stderr is not None
(made / "codes").write_text(repr(codes))
"""


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_every_command_works_when_streams_are_closed(outputs, tmp_path, closed):
    code = f'exec {sys.executable} -c "$SCRIPT" {outputs} {tmp_path} {closed}'
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SCRIPT": CLOSED}
    done = subprocess.run(
        ["sh", "-c", code], env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    codes = ast.literal_eval((tmp_path / "codes").read_text())
    assert set(codes) == set(commands(outputs, tmp_path))
    assert {name for name, code in codes.items() if code not in (0, 3, 4)} == set()
    assert (tmp_path / "report.html").exists()
    assert (tmp_path / "exported").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_arms_in_processes_end_well_when_streams_are_closed(tmp_path, closed):
    words = [w for w in SWEEP if "launcher" not in w]
    command = [sys.executable, "-m", "trustbench", *words, f"output_dir={tmp_path / 'out'}"]
    quoted = " ".join(f"'{word}'" for word in command)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        ["sh", "-c", f"exec {quoted} {closed}"], env=env, capture_output=True, text=True,
        check=False, timeout=590,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [r.status for r in Store(tmp_path / "out").records()] == ["ok"] * 3
    assert list((tmp_path / "out" / "tables").iterdir())


def test_a_table_that_cannot_be_shown_is_written_before(outputs, tmp_path):
    for name in ("arms", "fits", "blobs", "sweeps"):
        if (outputs / name).exists():
            (tmp_path / name).symlink_to(outputs / name)
    again = [sys.executable, "-m", "trustbench", *SWEEP, f"output_dir={tmp_path}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            again, env=env, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=300
        )
    assert done.returncode == 1, done.stderr
    assert (
        "trustbench: standard output cannot be written (No space left on device); what the command "
        "has stored is kept."
    ) in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert list((tmp_path / "tables").glob("*.md"))


def test_progress_that_nobody_reads_stops_no_arm(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "trustbench", "run", "dataset=digits", "protocol.replicates=2",
             "training.epochs=1", "evaluator=utility", f"output_dir={tmp_path}"],
            env=env, stdout=subprocess.PIPE, stderr=full, text=True, check=False, timeout=300,
        )  # fmt: skip
    assert done.returncode == 0
    assert "utility" in done.stdout
    assert [r.status for r in Store(tmp_path).records()] == ["ok"]


def test_a_descriptor_that_was_closed_is_not_given_to_a_file(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from trustbench.launching.streams import open_streams\n"
        "open_streams()\n"
        f"with open({str(tmp_path / 'data')!r}, 'w') as file:\n"
        "    assert file.fileno() > 2\n"
        "    print('printed')\n"
    )
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} {script} >&- 2>&- <&-"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "data").read_text() == ""


def test_open_streams_are_left_alone():
    before = sys.stdout, sys.stderr, os.fstat(1).st_ino
    open_streams()
    with safe_streams():
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr, os.fstat(1).st_ino) == before
