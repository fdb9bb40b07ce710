"""A real MLflow server as the meeting point of machines that share no disk.

On sqlite, which needs nothing, and on PostgreSQL where it is installed, started as
scripts/tracking_server.sh starts it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from trustbench import tracking
from trustbench.store.records import Store
from trustbench.tracking import runs
from trustbench.tracking.server import TrackingServer

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "scripts" / "tracking_server.sh"
PASSWORD = "s3cr3t-Pa55"
WRITERS = 8
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("handmade_ids"),
]


class Served:
    """An MLflow server that can be stopped and started again."""

    def __init__(self, kind, folder):
        self.kind, self.folder = kind, folder
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.uri = f"http://ann:{PASSWORD}@{self.address}"
        self.start()

    def start(self):
        env = {**os.environ, "WORKERS": "1", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        command = [str(RECIPE), str(self.folder), "127.0.0.1", str(self.port)]
        if self.kind == "sqlite":
            command = [
                sys.executable, "-m", "mlflow", "server", "--workers", "1",
                "--backend-store-uri", f"sqlite:///{self.folder}/server.db",
                "--artifacts-destination", str(self.folder / "artifacts"),
                "--host", "127.0.0.1", "--port", str(self.port),
            ]  # fmt: skip
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=env, cwd="/", start_new_session=True
            )
        deadline = time.monotonic() + 180
        while not self._answers():
            said = (self.folder / "server.log").read_text()[-2000:]
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)

    def _answers(self):
        try:
            with urllib.request.urlopen(f"http://{self.address}/health", timeout=5):
                return True
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def _why_no_postgresql():
    if shutil.which("pg_config") is None and not list(Path("/usr/lib/postgresql").glob("*/bin")):
        return "needs PostgreSQL: apt-get install postgresql"
    if find_spec("psycopg") is None:
        return "needs its driver: pip install 'trustbench[server]'"
    return None


KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.cluster)]


@pytest.fixture(scope="module", params=KINDS)
def served(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    if request.param == "postgresql":
        if _why_no_postgresql():
            pytest.skip(_why_no_postgresql())
        # the database's user must be able to enter it, which pytest's folders forbid
        folder = Path("/var/tmp") / f"trustbench-test-{os.getpid()}"
        folder.mkdir(mode=0o755)
    made = Served(request.param, folder)
    yield made
    made.stop()
    shutil.rmtree(folder)


def found(uri, wanted=runs.ARM):
    """Every run of a server."""
    server = TrackingServer(Store(Path("/nowhere")), uri)
    return list(runs.search(server, runs.experiments(server), wanted))


# One process imports what takes seconds, and forks the writers.
WRITE = """
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
import numpy as np
from mlflow import MlflowClient
from tests.unit.tracking.test_tracking import make_record
from trustbench import tracking
from trustbench.store.records import Store
from trustbench.tracking import upload

uris, folder, writers, each, sleep = json.loads(sys.argv[1])
def write(k, uri):
    store = Store(Path(folder) / f"writer{{k}}")
    for i in range(each):
        record = make_record(f"{{k + 100 * sleep:08x}}{{i:08x}}", metrics=10, replicates=4)
        record = store.write(record, {{"logits": np.full(1000, i)}})
        tracking.log_record(store, uri, "written", record)
if sleep:
    upload._log_files = lambda *_: (print("uploading", flush=True), time.sleep(600))
children = []
for k in range(writers):
    child = os.fork()
    if child == 0:
        try:
            for uri in uris:
                write(k, uri)
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
print("children", *children, flush=True)
codes = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]
sys.exit(any(codes))
"""


def write(uris, folder, writers, each, *, sleep=False):
    arguments = json.dumps([uris, str(folder), writers, each, sleep])
    return subprocess.Popen(
        [sys.executable, "-c", WRITE.format(root=str(ROOT)), arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_writers_at_once_all_arrive(served, tmp_path):
    """On the server, and in a database without one, as on a single machine."""
    local = Store(tmp_path / "shared")
    tracking.prepare(local, None, "written")  # in one process, as a run does it
    uris = [served.uri, tracking.resolve(local, None)]
    done = write(uris, tmp_path, WRITERS, 2)
    said, _ = done.communicate(timeout=300)
    assert done.returncode == 0, said
    assert PASSWORD not in said
    for uri in uris:
        mine = [r for r in found(uri) if r.data.tags["trustbench.experiment"] == "written"]
        assert [r.info.status for r in mine] == ["FINISHED"] * WRITERS * 2
        assert all(len(r.data.metrics) == 10 * 4 for r in mine)


def test_a_killed_upload_is_reaped_and_made_again(served, tmp_path, tb):
    process = write([served.uri], tmp_path, 1, 1, sleep=True)
    said = [process.stdout.readline() for _ in range(2)]
    assert "uploading\n" in said, said
    (child,) = [int(c) for line in said if "children" in line for c in line.split()[1:]]
    address, store = f"http://{served.address}", tmp_path / "writer0"
    lives = tb("doctor", "--tracking-uri", address, "--from", store, "--reap")
    assert "is being uploaded" in lives.out, lives.out
    os.kill(child, signal.SIGKILL)
    process.communicate(timeout=60)
    assert len(found(served.uri, runs.OPEN)) == 1
    assert tb("doctor", "--tracking-uri", address, "--from", store).code == 1
    reaped = tb("doctor", "--tracking-uri", address, "--from", store, "--reap")
    assert "1 runs of dead processes closed as KILLED" in reaped.out
    assert found(served.uri, runs.OPEN) == []


def formats(tb, *args):
    done = [tb("summarize", *args, "--format", f) for f in ("md", "csv", "json")]
    assert [d.code for d in done] == [0] * 3, done[0].err
    return [d.out for d in done]


def test_machines_without_a_shared_disk_compute_each_arm_once(served, outside, tb):
    """The second one computes nothing; with another evaluator, that one alone."""
    command = [
        "run", "-m", *outside.args, "evaluator=[utility,fairness]",
        "intervention=none,balanced_weights", "+experiment=shared",
        f"tracking_uri={served.uri}",
    ]  # fmt: skip
    outside.write("experiment/shared", "# @package _global_\n")
    one, two = Store(outside.folder / "one"), Store(outside.folder / "two")
    said = [tb(*command, f"output_dir={one.root}")]  # in processes of their own
    command.append("hydra/launcher=basic")
    assert said[0].code == 0, said[0].err
    assert "warning" not in said[0].err
    said.append(tb(*command, f"output_dir={two.root}"))
    assert said[1].code == 0, said[1].err
    assert said[1].err.count("kept ") >= 2, said[1].err
    assert not list(two.root.glob("fits/*")), "nothing was trained"
    assert {r.id: r for r in two.records()} == {r.id: r for r in one.records()}
    mine = [r for r in found(served.uri) if r.data.tags["trustbench.experiment"] == "shared"]
    assert len(mine) == 2, "nothing was uploaded twice"
    tables = formats(tb, "--from", one.root)
    assert formats(tb, "--from", two.root) == tables
    server = ["--tracking-uri", served.uri, "--experiment", "shared"]
    assert formats(tb, *server, "--from", outside.folder / "nowhere") == tables

    more = [c.replace("fairness]", "fairness,hits]") for c in command]
    said.append(tb(*more, f"output_dir={two.root}"))
    assert [s.code for s in said] == [0] * 3
    for record in two.records():
        journal = (two.arm_dir(record.id) / "journal").read_text()
        computed = [w.split()[-1].split("-")[0] for w in journal.splitlines() if " start " in w]
        assert computed == ["hits"], "the others were brought"
    tables = formats(tb, "--from", two.root)
    assert formats(tb, *server, "--from", outside.folder / "nowhere") == tables
    _nothing_shows_the_password(said, outside.folder, served)


def _nothing_shows_the_password(said, folder, served):
    assert not any(PASSWORD in s.out + s.err for s in said)
    for path in (p for p in folder.rglob("*") if p.is_file()):
        assert PASSWORD.encode() not in path.read_bytes(), path
    for run in found(served.uri):
        assert PASSWORD not in json.dumps(run.to_dictionary())
    log = (served.folder / "server.log").read_text()
    assert PASSWORD not in log


def test_a_server_that_restarts_in_the_middle_of_a_sweep_has_everything(served, outside, tb):
    """The arms that end meanwhile wait for it; no one is lost and nobody is warned."""
    store = Store(outside.outputs)
    stopped = threading.Event()

    def restart():
        while not list(store.root.glob("arms/*/tracked")):
            time.sleep(0.01)
        served.stop()
        stopped.set()
        served.start()

    thread = threading.Thread(target=restart)
    thread.start()
    done = tb(
        "run", "-m", *outside.args, "hydra/launcher=basic", "seed=11,12,13,14",
        f"tracking_uri=http://{served.address}",
    )  # fmt: skip
    thread.join()
    assert done.code == 0, done.err
    assert stopped.is_set()
    assert "warning" not in done.err.replace("no table", ""), done.err
    records = list(store.records())
    assert len(records) == 4
    assert tracking.logged(store, served.uri, records) == {r.id for r in records}
    mine = [r for r in found(served.uri) if r.data.tags["trustbench.experiment"] == "default"]
    assert len(mine) == 4, "no upload was made twice"
    assert {r.info.status for r in mine} == {"FINISHED"}


def test_sync_uploads_what_a_server_missed(served, outside, tb):
    down = ["run", *outside.args, "seed=77", "tracking_uri=http://127.0.0.1:9"]
    start = time.monotonic()
    done = tb(*down)
    assert done.code == 0
    assert done.err.count("warning") == 1, done.err
    assert "trustbench sync" in done.err
    assert time.monotonic() - start < 30
    address = f"http://{served.address}"
    assert tb("doctor", "--tracking-uri", address).code == 1
    synced = tb("sync", "--tracking-uri", address)
    assert (synced.code, synced.out) == (0, "uploaded 1 records; 0 were there.\n")
    (record,) = Store(outside.outputs).records()
    assert record.id in {r.data.tags["trustbench.arm_id"] for r in found(served.uri)}


def test_the_recipe_says_how_it_is_called():
    done = subprocess.run([RECIPE], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "scripts/tracking_server.sh FOLDER [HOST [PORT]]" in done.stderr
