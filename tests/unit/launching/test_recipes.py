"""The recipes for a GPU box and for SLURM, with programs that only write down their calls."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
WORDS = ["+experiment=full_table", "dataset=adult", "hydra.launcher.gpus=1", "data_dir=/a b/it's"]


@pytest.fixture
def folder(tmp_path):
    """A copy of the recipes, beside a trustbench whose runs end as `codes` says, then with 0."""
    shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=lambda _, names: {
        n for n in names if not n.endswith(".sh")})  # fmt: skip
    program(tmp_path / ".venv" / "bin" / "trustbench", """
        printf '%s|' "$@" >>calls; echo >>calls
        [ "$1" = run ] || exit 0
        code=$(head -1 codes); sed -i 1d codes
        exit "${code:-0}"
    """)  # fmt: skip
    program(tmp_path / "bin" / "sbatch", "printf '%s\\n' \"$@\" >>submitted\n")
    (tmp_path / "codes").touch()
    return tmp_path


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


def recipe(folder, name, *words, **env):
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [folder / "scripts" / name, *words], cwd=folder, env={**os.environ, "PATH": path, **env},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def runs(folder, sentence):
    """How often the sweep had been run when its log said `sentence`, and a moment later."""
    log, deadline = folder / "sweep.log", time.monotonic() + 30
    while not log.exists() or sentence not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    time.sleep(0.3)
    return (folder / "calls").read_text().count("run|")


def test_the_gpu_box_says_the_plan_and_runs_again_after_a_failure(folder):
    (folder / "codes").write_text("1\n0\n")
    done = recipe(folder, "gpu_box.sh", *WORDS)
    assert done.returncode == 0, done.stderr
    assert runs(folder, "gpu_box: try 2 of 3 ended with 0") == 2
    said = "|".join(WORDS)
    run = f"run|{said}|hydra/launcher=pool|"
    assert (folder / "calls").read_text().splitlines() == [f"plan|{said}|", run, run]


@pytest.mark.parametrize(("codes", "tries"), [("2", 1), ("130", 1), ("1\n1\n1", 3)])
def test_the_gpu_box_stops_at_what_another_try_cannot_fix(folder, codes, tries):
    (folder / "codes").write_text(f"{codes}\n")
    recipe(folder, "gpu_box.sh", *WORDS)
    last = codes.splitlines()[-1]
    assert runs(folder, f"gpu_box: try {tries} of 3 ended with {last}") == tries


def test_slurm_gets_the_whole_command_as_one_job(folder):
    done = recipe(folder, "slurm.sh", "long", *WORDS, ACCOUNT="lab", DAYS="3")
    assert done.returncode == 0, done.stderr
    words = (folder / "submitted").read_text().splitlines()
    assert {"--partition=long", "--account=lab", "--time=3-00", "--cpus-per-task=1"} <= set(words)
    (wrapped,) = [w.removeprefix("--wrap=") for w in words if w.startswith("--wrap=")]
    # what SLURM's shell makes of it is what was typed
    subprocess.run(["sh", "-c", wrapped], cwd=folder, check=True)
    own = ["hydra/launcher=slurm", "hydra.launcher.partition=long", "hydra.launcher.account=lab"]
    assert (folder / "calls").read_text() == "|".join(["run", *WORDS, *own, ""]) + "\n"


@pytest.mark.parametrize("name", ["gpu_box.sh", "slurm.sh", "ray_cluster.sh"])
def test_a_recipe_without_words_says_how_it_is_called(name, folder):
    program(folder / "bin" / "ray", "")
    done = recipe(folder, name)
    assert done.returncode == 2
    assert f"scripts/{name}" in done.stderr
    assert not (folder / "calls").exists()
