"""Simulates machines for a sweep on this one; a small sweep; its results without a cluster."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cluster.processes import (
    ROOT,
    Watched,
    end_below,
    environment,
    free_port,
    listens,
    tables,
    wait_for,
)

SMALL = """\
# @package _global_
# An arm of every kind: baseline, its reseed, retrained, private, deployed only, matched
defaults:
  - override /evaluator: [utility, fairness]
protocol: {replicates: 4}
training: {epochs: 1}
hydra:
  mode: MULTIRUN
  sweeper:
    arms:
      baseline: []
      reseed: [control=reseed]
      balanced_weights: [intervention=balanced_weights]
      dpsgd: [intervention=dpsgd, intervention.dpsgd.epochs=1]
      conformal: [intervention=conformal]
      matched_dpsgd: [control=matched, intervention=dpsgd, intervention.dpsgd.epochs=1]
"""
LONG = """\
# @package _global_
# One arm that trains long enough to be interrupted
defaults:
  - override /evaluator: [utility]
protocol: {replicates: 4}
checkpoint_s: 0
hydra:
  mode: MULTIRUN
  sweeper:
    arms:
      dpsgd: [intervention=dpsgd, intervention.dpsgd.epochs=300]
"""


@pytest.fixture(scope="session")
def options(tmp_path_factory):
    """A folder with a user's own options, with the sweeps `small` and `long`."""
    folder = tmp_path_factory.mktemp("options")
    (folder / "experiment").mkdir()
    (folder / "experiment" / "small.yaml").write_text(SMALL)
    (folder / "experiment" / "long.yaml").write_text(LONG)
    return folder


@pytest.fixture(scope="session")
def sweep(options):
    """Starts `trustbench run +experiment=small ...` as a process that can be watched."""
    started = []

    def start(outputs, *args, env=None, experiment="small"):
        chosen = ["--config-dir", options, f"+experiment={experiment}"]
        words = ["run", *chosen, f"output_dir={outputs}", *args]
        process = Watched(words, {**environment(), **(env or {})})
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture(scope="session")
def expected(sweep, tmp_path_factory):
    """The tables of the sweep, run arm by arm in one process."""
    outputs = tmp_path_factory.mktemp("expected")
    done = sweep(outputs, "hydra/launcher=basic")
    assert done.wait() == 0, done.said()
    return tables(outputs)


@pytest.fixture
def net():
    """Two machines on one network: this one, and a network namespace with its own mount table.

    The second has another address, and sees only the parts of the disk that it is given.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the `ip` command")
    name, part = f"tb{os.getpid()}", os.getpid() % 250
    here, there = f"10.77.{part}.1", f"10.77.{part}.2"
    commands = [
        f"ip netns add {name}",
        f"ip link add {name}a type veth peer name {name}b",
        f"ip link set {name}b netns {name}",
        f"ip addr add {here}/30 dev {name}a",
        f"ip link set {name}a up",
        f"ip -n {name} addr add {there}/30 dev {name}b",
        f"ip -n {name} link set {name}b up",
        f"ip -n {name} link set lo up",
    ]
    try:
        for command in commands:
            done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"{command}: {done.stderr.strip()}")
        yield SimpleNamespace(name=name, here=here, there=there, kill=lambda: _kill(name))
    finally:
        _kill(name)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _kill(name):
    """Kills a machine at once: every process in the namespace; returns their number."""
    listed = subprocess.run(
        ["ip", "netns", "pids", name], capture_output=True, text=True, check=False
    )
    for pid in listed.stdout.split():
        with suppress(ProcessLookupError):  # it ended with one that was killed before it
            os.kill(int(pid), signal.SIGKILL)
    return len(listed.stdout.split())


@pytest.fixture
def ray_cluster(net, tmp_path):
    """A head on this machine and a second node, each with room for one arm.

    `start(hidden)`: the second node sees an empty folder in place of `hidden`.
    """
    token = tmp_path / "token"
    token.write_text(os.urandom(32).hex())
    token.chmod(0o600)
    # sockets have paths of at most 107 characters
    temporary, port = Path(tempfile.mkdtemp(prefix="tb", dir="/tmp")), free_port()
    env = {"RAY_AUTH_TOKEN_PATH": str(token), "RAY_PORT": str(port), "RAY_COLOR_PREFIX": "0"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    everywhere = {**environment(), **env, "PATH": path}
    script = [str(ROOT / "scripts" / "ray_cluster.sh")]
    size = ["--block", "--num-cpus=1", "--object-store-memory=80000000"]
    address, nodes = f"{net.here}:{port}", []

    def node(words, before=()):
        with (tmp_path / f"node{len(nodes)}.log").open("w") as log:
            command = [*before, *script, *words, *size]
            options = {"stdout": log, "stderr": log, "start_new_session": True}
            nodes.append(subprocess.Popen(command, env=everywhere, **options))

    def start(hidden=None):
        node(["head", net.here, f"--temp-dir={temporary}"])
        wait_for(lambda: listens(net.here, port), "the head", 300)
        inside = ["ip", "netns", "exec", net.name]
        if hidden is not None:
            inside += ["sh", "-c", f'mount -t tmpfs tmpfs {hidden} && exec "$@"', "sh"]
        node(["join", address, f"--node-ip-address={net.there}"], inside)
        return address

    yield SimpleNamespace(start=start, env=env, net=net)
    net.kill()
    for process in nodes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    end_below(temporary)
    shutil.rmtree(temporary, ignore_errors=True)


@pytest.fixture
def alone():
    """The environment of a Ray that is unknown to all other Rays of this machine."""
    folder = Path(tempfile.mkdtemp(prefix="tb", dir="/tmp"))
    yield {"RAY_TMPDIR": str(folder), "HOME": str(folder)}
    end_below(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def mlflow_at(tmp_path):
    """Starts an MLflow server on an address of this machine; its own address."""
    started = []

    def start(host):
        port, folder = free_port(), tmp_path / "tracking"
        folder.mkdir()
        command = [
            sys.executable, "-m", "mlflow", "server", "--workers", "1",
            "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
            "--artifacts-destination", str(folder / "artifacts"),
            "--host", host, "--port", str(port),
        ]  # fmt: skip
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (folder / "log").open("w") as log:
            options = {"stdout": log, "stderr": log, "start_new_session": True}
            started.append(subprocess.Popen(command, env={**environment(), **quiet}, **options))
        wait_for(lambda: listens(host, port), "the tracking server", 300)
        return f"http://{host}:{port}"

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
