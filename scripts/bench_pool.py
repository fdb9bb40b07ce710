"""How long an arm's process takes to start under the pool, once the fork server has imported.

    python scripts/bench_pool.py [STARTS]

Prints the time that the server needs first. Then, over STARTS (50) consecutive starts, it prints
the time from requesting a process to the first line of the arm's code in it, and to its slot being
free again after an arm that does nothing. It does the same for a new interpreter with the same
imports.
"""

import os
import platform
import subprocess
import sys
import time
from statistics import median
from tempfile import TemporaryDirectory

from trustbench.config.arms import Arm
from trustbench.config.compose import compose, composed_arm
from trustbench.execution.job import ArmOutcome
from trustbench.launching.attempt import Attempt, Job
from trustbench.launching.messages import Ended
from trustbench.launching.server import ForkServer
from trustbench.launching.slots import Slot

INTERPRETERS = 3


def nothing(_arm: Arm) -> ArmOutcome:
    """The body of each process: reports when it started. All processes share the clock."""
    return ArmOutcome(None, "nothing", "ok", seconds=time.monotonic())


def server_seconds(server: ForkServer) -> float:
    """Starts a server; returns how long it takes to import everything."""
    started = time.monotonic()
    server.start()
    while not server.ready():
        time.sleep(0.01)
    return time.monotonic() - started


def start_seconds(server: ForkServer, count: int) -> list[tuple[float, float]]:
    """(to the arm's code, to the end) of `count` processes, one after another."""
    with TemporaryDirectory() as folder:
        arm = composed_arm(compose([f"output_dir={folder}", "evaluator=utility"]))
        return [_one(Job(i, "nothing", arm), server) for i in range(count)]


def _one(job: Job, server: ForkServer) -> tuple[float, float]:
    attempt = Attempt(job, Slot(), server, nothing)
    while not attempt.has_ended():
        time.sleep(0.001)
    attempt.receive()
    attempt.close()
    assert isinstance(attempt.last, Ended)
    return attempt.last.outcome.seconds - attempt.started, attempt.seconds


def interpreter_seconds() -> float:
    """How long a new interpreter takes to import what the server has imported."""
    env = {**os.environ, "TRUSTBENCH_FORK_SERVER": "1"}
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "import trustbench.launching.preload"], env=env, check=True
    )
    return time.monotonic() - started


def main(count: int = 50) -> None:
    server = ForkServer()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}")
    print(f"load {os.getloadavg()[0]:.1f}; the fork server was ready after ", end="", flush=True)
    print(f"{server_seconds(server):.1f} s")
    starts = start_seconds(server, count)
    for what, k in (("to the arm's code", 0), ("to a free slot", 1)):
        seconds = [start[k] for start in starts]
        spread = f"median {median(seconds):.3f} s, longest {max(seconds):.3f} s"
        print(f"{what}: {spread}, n={count} (limit 0.5 s)")
    fresh = [interpreter_seconds() for _ in range(INTERPRETERS)]
    print(f"a new interpreter with the same imports: median {median(fresh):.1f} s, n={len(fresh)}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
