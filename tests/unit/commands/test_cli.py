"""The command line: what it imports, what it says, and how it ends."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trustbench import __version__
from trustbench.commands import cli
from trustbench.commands.cli import COMMANDS
from trustbench.errors import ConfigError, TrustbenchError, UserError

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"torch", "numpy", "hydra", "omegaconf", "mlflow", "pydantic", "rich", "sklearn", "scipy"}


def _python(*args, **options):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *args],
        check=False,
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
        **options,
    )


def test_help_imports_nothing_heavy():
    done = _python("-X", "importtime", "-m", "trustbench", "--help")
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert "trustbench" in imported  # the list is there at all
    assert not imported & HEAVY


def test_help_answers_at_once():
    def once():
        start = time.monotonic()
        _python("-m", "trustbench", "--help")
        return time.monotonic() - start

    assert min(once() for _ in range(3)) < 0.5


def test_help_names_every_command_and_each_has_help(capsys):
    assert cli.main(["--help"]) == 0
    said = capsys.readouterr().out
    for name in cli.COMMANDS:
        assert re.search(rf"^  {name} ", said, re.M)


@pytest.mark.parametrize("name", sorted(set(cli.COMMANDS)))
def test_every_command_has_help(name, capsys):
    code = _exit_code(lambda: cli.main([name, "--help"]))
    assert code == 0
    assert f"trustbench {name}" in capsys.readouterr().out


def _exit_code(run):
    try:
        return run()
    except SystemExit as stop:
        return stop.code or 0


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"trustbench {__version__}\n"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], f"no command was given. Available: {', '.join(sorted(COMMANDS))}."),
        (["rnu"], "unknown command 'rnu'; did you mean 'run'? Available:"),
        (["list", "modles"], "argument kind: invalid choice: 'modles'"),
        (["summarize", "--format", "html"], "unknown format 'html'; Available: csv, json, md"),
        (["summarize", "--bogus"], "unrecognized arguments: --bogus"),
        (["sync", "--from", "/nowhere"], "/nowhere is not a folder of records"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(args, sentence, capsys):
    assert cli.main(args) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"trustbench: {sentence}")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("x is wrong."), 2, "trustbench: x is wrong.\n"),
        (ConfigError(["a.", "b."]), 2, "trustbench: a.\ntrustbench: b.\n"),
        (TrustbenchError("the disk is full."), 1, "trustbench: the disk is full.\n"),
        (KeyboardInterrupt(), 130, "trustbench: interrupted; run the same command again"),
    ],
)
def test_how_a_command_ends_decides_the_exit_code(error, code, said, monkeypatch, capsys):
    monkeypatch.setattr(cli, "_dispatch", _raiser(error))
    assert cli.main(["run"]) == code
    assert capsys.readouterr().err.startswith(said)


def test_our_own_bug_shows_its_trace(monkeypatch, capsys):
    monkeypatch.setattr(cli, "_dispatch", _raiser(ZeroDivisionError("oops")))
    assert cli.main(["run"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert "ZeroDivisionError: oops" in said


def _raiser(error):
    def dispatch(args):
        raise error

    return dispatch


def test_a_reader_that_leaves_early_gets_no_trace():
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f"{sys.executable} -m trustbench list | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], check=False, capture_output=True, text=True, env=env, timeout=60
    )
    assert done.stdout.splitlines()[0] == "datasets:"
    assert done.stdout.splitlines()[-1] in ("141", "0")  # 0 when all fitted into the pipe
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_list_describes_every_option(capsys):
    assert cli.main(["list", "interventions"]) == 0
    rows = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert "DP-SGD" in rows["dpsgd"]
    assert set(rows) == {p.stem for p in (ROOT / "conf" / "intervention").glob("*.yaml")}


def test_list_without_a_kind_lists_all_kinds(capsys, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("# my own model\nname: mine\n")
    assert cli.main(["list", "--config-dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for kind in ("datasets", "models", "interventions", "evaluators", "metrics", "tables"):
        assert f"{kind}:" in said
    assert re.search(r"mine +my own model", said)
    assert re.search(
        r"fairness/acc_gap +How much less accurate .* fraction; lower is better\.", said
    )
