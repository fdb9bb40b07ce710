"""Arms on the machines of a Ray cluster, each in a fresh process.

Ray's own retries are off: it would silently run a task that died four times. An arm is handed to
Ray only if a machine has room for it. None therefore waits in Ray's queue, machines may join and
leave during a sweep, and an interrupt leaves nothing behind that would start later.
"""

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from trustbench import __version__
from trustbench.config.arms import Arm
from trustbench.errors import ConfigError, TrustbenchError
from trustbench.execution.job import ArmOutcome
from trustbench.launching.machines import Machines
from trustbench.launching.scheduler import Death, Ends
from trustbench.launching.worker import Work, run_arm

STORE_BYTES = 80_000_000  # for arms and outcomes in transit; Ray requires 75 MB
CALL_S = 10.0
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    # anybody who reaches a cluster without a token can run code on it
    "RAY_AUTH_MODE": "token",
}


@dataclass(frozen=True)
class RaySettings:
    """`hydra.launcher` of hydra/launcher=ray; its file explains the keys."""

    address: str | None = None
    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[float, Field(ge=0)] | None = None
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    outputs: str | None = None
    data: str | None = None
    retries: Annotated[int, Field(ge=0)] = 1
    patience_s: Annotated[float, Field(gt=0)] = 120
    on_error: Literal["continue", "stop"] = "continue"


class RayMachines(Machines):
    """A connection to a cluster, and the arms that run on it."""

    def __init__(self, settings: RaySettings, work: Work, note: Callable[[str], None]) -> None:
        super().__init__()
        self.settings = settings
        self.ray = connect(settings.address)
        self.work = self.ray.put(work)
        self.running: dict[Any, int] = {}
        self.crowded: float | None = None
        nodes = self._nodes()
        self.needs = needs(settings, nodes)
        if not any(slots(node, self.needs) for node in nodes):
            self.ray.shutdown()
            raise ConfigError(_too_small(self.needs, nodes))
        memory = settings.memory_gb
        self.task = self.ray.remote(
            num_cpus=self.needs["CPU"],
            num_gpus=self.needs.get("GPU", 0),
            memory=None if memory is None else memory * 2**30,
            max_calls=1,  # one process per arm: nothing is left in it for the next
            max_retries=0,
        )(run_arm)
        note(f"Ray: {len(nodes)} machines with room for {self.room()} arms at once.")

    def room(self) -> int:
        """Free places on living machines, minus running arms; below 0 after losing a machine."""
        return sum(slots(node, self.needs) for node in self._nodes()) - len(self.running)

    def submit(self, arms: Mapping[int, Arm]) -> None:
        """Hands arms to Ray, with the folders on their machine."""
        for index, arm in arms.items():
            arm = replace(
                arm,
                output_dir=Path(self.settings.outputs or arm.output_dir),
                data_dir=Path(self.settings.data or arm.data_dir),
            )
            self.running[self.task.remote(self.work, arm, __version__)] = index

    def ended(self, timeout_s: float) -> Ends:
        """The results so far; a lost machine is noticed within seconds."""
        if not self.running:
            return {}
        try:
            done, _ = self.ray.wait(list(self.running), num_returns=1, timeout=timeout_s)
        except self.ray.exceptions.RayError as error:
            raise TrustbenchError(
                f"the connection to Ray is lost ({_first_line(error)}); what had finished is "
                "kept: run the same command again."
            ) from error
        results = {self.running.pop(ref): self._result(ref) for ref in done}
        return {**results, **self._stranded()}

    def leave(self) -> None:
        """Leaves the cluster, which ends what this sweep still runs on it."""
        self.ray.shutdown()

    def _stranded(self) -> dict[int, Death]:
        """Arms handed to a machine just as it died, which Ray would keep forever."""
        excess, now = -self.room(), time.monotonic()
        if excess <= 0:
            self.crowded = None
            return {}
        self.crowded = self.crowded or now
        if now - self.crowded < self.settings.patience_s:
            return {}
        last = list(self.running)[-excess:]
        for ref in last:
            self.ray.cancel(ref, force=True)
        lost = Death("no machine of the cluster has room for it any more")
        return {self.running.pop(ref): lost for ref in last}

    def _result(self, ref: Any) -> ArmOutcome | Death:
        try:
            outcome: ArmOutcome = self.ray.get(ref)
        except self.ray.exceptions.RayTaskError as error:
            return Death(f"it could not be run there: {_cause(error)}", again=False)
        except self.ray.exceptions.OutOfMemoryError:
            return Death("Ray killed it, because its machine ran out of memory")
        except self.ray.exceptions.NodeDiedError as error:
            return Death(f"its machine left the cluster ({_node(error)})")
        except self.ray.exceptions.RayError as error:
            return Death(f"its process died ({type(error).__name__}: {_first_line(error)})")
        return outcome

    def _nodes(self) -> list[Mapping[str, float]]:
        """The resources of every living machine."""
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]


def connect(address: str | None) -> Any:
    """Returns the connected ray module.

    Raises:
        ConfigError: there is no cluster at the address, or it does not accept our token.
    """
    plain = {} if sys.stderr.isatty() else {"RAY_COLOR_PREFIX": "0"}
    for name, value in {**ENVIRONMENT, **plain}.items():
        os.environ.setdefault(name, value)
    import ray

    address = address or os.environ.get("RAY_ADDRESS")
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": True}
    try:
        if address is not None:
            _call(address)
            ray.init(address=address, **quiet)
        else:
            _find_or_start(ray, quiet)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = "this machine's Ray" if address is None else f"Ray at {address}"
        raise ConfigError(
            f"{where} cannot be used ({_first_line(error)}); hydra.launcher.address is HOST:PORT "
            "of a running head that this machine is part of, and all machines share one token "
            "(`ray get-auth-token`): see docs/clusters.md."
        ) from error
    return ray


def _call(address: str) -> None:
    """Raises OSError if nothing answers, since Ray itself would retry for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("it is not of the form HOST:PORT")
    socket.create_connection((host, int(port)), timeout=CALL_S).close()


def _find_or_start(ray: Any, quiet: Mapping[str, Any]) -> None:
    """The cluster on this machine; without one, this machine alone."""
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:
        ray.init(
            address="local",
            num_cpus=len(os.sched_getaffinity(0)),
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            **quiet,
        )
        token = Path.home() / ".ray" / "auth_token"
        if token.exists() and token.stat().st_uid == os.getuid():
            token.chmod(0o600)  # Ray makes it readable for everybody


def needs(settings: RaySettings, nodes: list[Mapping[str, float]]) -> dict[str, float]:
    """The resources of an arm, by Ray's names.

    >>> needs(RaySettings(), [{"CPU": 8.0}, {"CPU": 8.0, "GPU": 2.0}])
    {'CPU': 1, 'GPU': 1.0}
    """
    gpus = settings.gpus
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU", 0) for node in nodes) else 0.0
    wanted = {"CPU": settings.cpus, "GPU": gpus, "memory": (settings.memory_gb or 0) * 2**30}
    return {name: amount for name, amount in wanted.items() if amount}


def slots(node: Mapping[str, float], needs: Mapping[str, float]) -> int:
    """How many arms fit on a machine.

    >>> slots({"CPU": 8.0, "GPU": 2.0}, {"CPU": 1, "GPU": 0.5})
    4
    """
    return min(int(node.get(name, 0) / amount + 1e-9) for name, amount in needs.items())


def _too_small(needs: Mapping[str, float], nodes: list[Mapping[str, float]]) -> str:
    wanted = ", ".join(f"{name} {amount:g}" for name, amount in needs.items())
    has = "; ".join(", ".join(f"{name} {node.get(name, 0):g}" for name in needs) for node in nodes)
    return (
        f"no machine of the Ray cluster has what one arm asks for ({wanted}); they have: {has}. "
        "Lower hydra.launcher.cpus, gpus or memory_gb, or add a machine."
    )


def _cause(error: Any) -> str:
    """The exception behind Ray's own, in one line."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {_first_line(cause)}"


def _node(error: BaseException) -> str:
    """The address in Ray's message about a dead machine."""
    text = str(error)
    return text.split("Node IP: ", 1)[1].split(",", 1)[0] if "Node IP: " in text else "lost"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
