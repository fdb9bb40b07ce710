"""How Ray's ways to lose an arm are told, on a Ray that is made of lists."""

import socket
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from trustbench.errors import ConfigError, TrustbenchError
from trustbench.execution.job import ArmOutcome
from trustbench.launching import ray_cluster
from trustbench.launching.ray_cluster import RayMachines, RaySettings
from trustbench.launching.scheduler import Death

DONE = ArmOutcome("a" * 16, "none", "ok")


class RayError(Exception):
    pass


class RayTaskError(RayError):
    cause = ModuleNotFoundError("No module named 'mine'")


class OutOfMemoryError(RayError):
    pass


class NodeDiedError(RayError):
    pass


class WorkerCrashedError(RayError):
    pass


@dataclass
class Ray:
    """`machines` have resources; `results` are what the tasks end with, in their order."""

    machines: list = field(default_factory=lambda: [{"CPU": 2.0}])
    results: list = field(default_factory=list)
    options: dict = field(default_factory=dict)
    sent: list = field(default_factory=list)
    cancelled: list = field(default_factory=list)
    lost: bool = False
    shut: int = 0
    exceptions = SimpleNamespace(
        RayError=RayError, RayTaskError=RayTaskError, OutOfMemoryError=OutOfMemoryError,
        NodeDiedError=NodeDiedError,
    )  # fmt: skip

    def nodes(self):
        assert not self.shut
        return [{"Alive": True, "Resources": m} for m in self.machines]

    def put(self, value):
        return value

    def remote(self, **options):
        self.options = options
        return lambda function: SimpleNamespace(remote=self._start)

    def _start(self, work, arm, version):
        self.sent.append(arm)
        return len(self.sent) - 1

    def wait(self, refs, num_returns, timeout):
        if self.lost:
            raise RayError("Failed to connect to GCS.\nmore")
        return [r for r in refs if r < len(self.results)][:1], []

    def get(self, ref):
        result = self.results[ref]
        if isinstance(result, Exception):
            raise result
        return result

    def cancel(self, ref, force):
        assert force
        self.cancelled.append(ref)

    def shutdown(self):
        self.shut += 1


@pytest.fixture
def machines(monkeypatch):
    def make(ray, **settings):
        monkeypatch.setattr(ray_cluster, "connect", lambda address: ray)
        notes = []
        made = RayMachines(RaySettings(**settings), print, notes.append)
        made.notes = notes
        return made

    return make


@dataclass(frozen=True)
class SomeArm:
    output_dir: str = "/shared/outputs"
    data_dir: str = "/shared/data"


def test_arms_run_in_fresh_processes_and_ray_repeats_none(machines):
    ray = Ray()
    made = machines(ray)
    assert made.notes == ["Ray: 1 machines with room for 2 arms at once."]
    assert ray.options["max_calls"] == 1
    assert ray.options["max_retries"] == 0
    made.submit({0: SomeArm(), 1: SomeArm()})
    assert made.room() == 0
    ray.results = [DONE]
    assert made.ended(0.0) == {0: DONE}
    assert made.room() == 1


def test_arms_find_folders_of_their_own_machine(machines):
    ray = Ray()
    machines(ray, outputs="/scratch/o", data="/scratch/d").submit({0: SomeArm()})
    assert [str(ray.sent[0].output_dir), str(ray.sent[0].data_dir)] == ["/scratch/o", "/scratch/d"]


@pytest.mark.parametrize(
    ("error", "reason", "again"),
    [
        (RayTaskError("trace"), "ModuleNotFoundError: No module named 'mine'", False),
        (OutOfMemoryError("x"), "its machine ran out of memory", True),
        (NodeDiedError("Task failed. Node IP: 10.0.0.2, node ID: 1d"), "cluster (10.0.0.2)", True),
        (WorkerCrashedError("The worker died.\nmore"), "WorkerCrashedError: The worker", True),
    ],
)  # fmt: skip
def test_each_way_to_die_is_told(machines, error, reason, again):
    ray = Ray(results=[error])
    made = machines(ray)
    made.submit({5: SomeArm()})
    (death,) = made.ended(0.0).values()
    assert isinstance(death, Death)
    assert reason in death.reason
    assert death.again is again


def test_an_arm_that_was_handed_to_a_dead_machine_is_taken_back(machines):
    ray = Ray(machines=[{"CPU": 1.0}, {"CPU": 1.0}])
    made = machines(ray, patience_s=0.01)
    made.submit({3: SomeArm(), 4: SomeArm()})
    ray.machines.pop()
    assert made.ended(0.0) == {}
    made.crowded -= 1.0
    assert made.ended(0.0) == {4: Death("no machine of the cluster has room for it any more")}
    assert ray.cancelled == [1]
    assert made.room() == 0
    assert made.ended(0.0) == {}
    assert made.crowded is None


def test_a_lost_connection_is_one_sentence(machines):
    ray = Ray()
    made = machines(ray)
    made.submit({0: SomeArm()})
    ray.lost = True
    with pytest.raises(TrustbenchError, match=r"connection to Ray is lost .*GCS\); what had"):
        made.ended(0.0)


def test_what_no_machine_can_hold_is_refused_and_the_cluster_left(machines):
    ray = Ray(machines=[{"CPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}])
    with pytest.raises(ConfigError, match=r"\(CPU 4, GPU 2\); they have: CPU 2, GPU 0; CPU 8"):
        machines(ray, cpus=4, gpus=2)
    assert ray.shut == 1


@pytest.mark.parametrize("address", ["head", "head:port", ":6379", "auto"])
def test_an_address_is_a_host_and_a_port(address):
    with pytest.raises(ValueError, match="not of the form HOST:PORT"):
        ray_cluster._call(address)


def test_a_head_that_does_not_answer_is_not_waited_for():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ConnectionRefusedError):
        ray_cluster._call(address)
