"""Sweeps as SLURM's jobs: on a real SLURM of this machine, and as submitit's own processes."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cluster.processes import ROOT, environment, free_port, tables, wait_for
from trustbench.store.digests import values_digest
from trustbench.store.records import Store

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(find_spec("submitit") is None, reason="needs trustbench[slurm]"),
]
DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIGURATION = """\
ClusterName=trustbench
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={control}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=6000 State=UNKNOWN
PartitionName=short Nodes=ALL Default=YES State=UP
"""
SLURM = ["hydra/launcher=slurm", "hydra.launcher.parallel=2", "hydra.launcher.time=30"]
LOCAL = [*SLURM, "hydra.launcher.cluster=local"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A SLURM of one node with room for two jobs, and without accounting; its environment."""
    if os.geteuid() != 0 or not all(map(shutil.which, DAEMONS)):
        pytest.skip(f"a SLURM of our own needs root and {', '.join(DAEMONS)}")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    host = socket.gethostname().split(".")[0]
    text = CONFIGURATION.format(host=host, control=free_port(), node=free_port(), folder=folder)
    (folder / "slurm.conf").write_text(text)
    env = {**environment(), "SLURM_CONF": str(folder / "slurm.conf")}
    munge = ["key-file=key", "socket=socket", "pid-file=pid", "log-file=log", "seed-file=seed"]
    options = [f"--{o.replace('=', f'={folder}/munge/')}" for o in munge]
    started = [
        subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in (
            ["munged", "-F", "--force", *options],
            ["slurmctld", "-D"],
            ["slurmd", "-D"],
        )
    ]

    def up():
        said = subprocess.run(
            ["sinfo", "-h", "-o", "%T"], env=env, capture_output=True, text=True, check=False
        )
        return "idle" in said.stdout

    try:
        wait_for(up, "SLURM", 120)
        yield {"SLURM_CONF": env["SLURM_CONF"]}
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(60)


def ask(slurm, *command):
    done = subprocess.run(
        command, env={**os.environ, **slurm}, capture_output=True, text=True, check=False
    )
    return done.stdout


def job_processes(outputs):
    """(process id, what it runs) of submitit's workers of a sweep."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "submitit.core._submit" in words and any(str(outputs) in w for w in words):
            yield int(entry.name)


def kill_the_next_job(outputs):
    """Kills a job just after it has started, so that its arm cannot have ended."""
    before = set(job_processes(outputs))
    wait_for(lambda: set(job_processes(outputs)) - before, "the next job", 120)
    os.kill(min(set(job_processes(outputs)) - before), signal.SIGKILL)


def test_a_sweep_is_an_array_and_a_job_that_dies_runs_again(slurm, sweep, expected, tmp_path):
    outputs = tmp_path / "outputs"
    run = sweep(outputs, *SLURM, "hydra.launcher.partition=short", env=slurm)
    run.ended(1)
    kill_the_next_job(outputs)
    assert run.wait() == 0, run.said()
    assert re.search(r"its job died \(job \d+_\d: FAILED; log: .*\); it is started", run.said())
    assert tables(outputs) == expected
    scripts = sorted((outputs / "jobs").rglob("*submission.sh"))
    text = scripts[0].read_text()
    for line in ("--array=0-5%2", "--partition=short", "--time=30", "--signal=USR2@90",
                 "--cpus-per-task=1", "--job-name=trustbench"):  # fmt: skip
        assert f"#SBATCH {line}\n" in text
    assert "gpus" not in text
    assert not list((outputs / "jobs").rglob("*result.pkl"))
    assert (outputs / "jobs").stat().st_mode & 0o077 == 0


def test_what_slurm_refuses_is_one_sentence(slurm, sweep, tmp_path):
    run = sweep(tmp_path / "outputs", *SLURM, "hydra.launcher.partition=long", env=slurm)
    assert run.wait() == 2
    assert "SLURM refuses the jobs" in run.said()
    assert "invalid partition specified: long" in run.said()
    assert "Traceback" not in run.said()


def test_after_two_interrupts_no_job_is_left(slurm, sweep, expected, tmp_path):
    outputs = tmp_path / "outputs"
    run = sweep(outputs, *SLURM, env=slurm)
    run.ended(1)
    run.interrupt()
    run.until(lambda text: "interrupted: nothing more is started" in text, "it is told")
    run.interrupt()
    assert run.wait() == 130, run.said()
    wait_for(lambda: not ask(slurm, "squeue", "-h").strip(), "the end of all jobs", 120)
    again = sweep(outputs, *SLURM, env=slurm)
    assert again.wait() == 0, again.said()
    assert "kept " in again.said()
    assert tables(outputs) == expected


def test_submitits_own_processes_do_the_same(sweep, expected, tmp_path):
    outputs = tmp_path / "outputs"
    run = sweep(outputs, *LOCAL)
    run.ended(1)
    kill_the_next_job(outputs)
    assert run.wait() == 0, run.said()
    assert "it is started again" in run.said()
    assert tables(outputs) == expected
    again = sweep(outputs, *LOCAL)
    assert again.wait() == 0
    assert again.said().count("kept ") >= 6


def test_a_job_that_has_to_leave_goes_on_from_its_checkpoint(sweep, tmp_path):
    """What SLURM does to a job at its time limit, and when it takes its node for another."""
    whole, outputs = tmp_path / "whole", tmp_path / "outputs"
    assert sweep(whole, "hydra/launcher=basic", experiment="long").wait() == 0
    run = sweep(outputs, *LOCAL, experiment="long")
    wait_for(lambda: list(outputs.glob("fits/*/checkpoint.*")), "a checkpoint", 300)
    os.kill(next(job_processes(outputs)), signal.SIGUSR2)
    assert run.wait() == 0, run.said()
    (log,) = (outputs / "jobs").rglob("*log.out")
    assert log.read_text().count("Starting with JobEnvironment") == 2
    values = []
    for folder in (whole, outputs):
        (record,) = Store(folder).records()
        assert record.status == "ok"
        values.append(values_digest(record, Store(folder).arrays(record.id)))
    assert values[0] == values[1]


def test_the_recipe_submits_the_sweep_as_a_job_that_submits_its_arms(slurm, options, tmp_path):
    outputs = tmp_path / "outputs"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**environment(), **slurm, "PATH": path}
    words = ["--config-dir", options, "+experiment=long", f"output_dir={outputs}"]
    command = [ROOT / "scripts" / "slurm.sh", "short", *words]
    done = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    number = re.search(r"Submitted batch job (\d+)", done.stdout).group(1)
    log = tmp_path / f"trustbench-{number}.log"
    wait_for(lambda: not ask(slurm, "squeue", "-h").strip(), "the end of all jobs", 600)
    assert [r.status for r in Store(outputs).records()] == ["ok"], log.read_text()
    assert "records, tables and tracking database" in log.read_text()
