"""What Ray and SLURM share as workers: machines that somebody else schedules."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from trustbench.config.arms import Arm
from trustbench.errors import TrustbenchError
from trustbench.execution import job as jobs
from trustbench.execution.job import ArmOutcome
from trustbench.execution.pilot import settled
from trustbench.execution.plan import plan
from trustbench.launching.schedule import ScheduledArm
from trustbench.launching.scheduler import Death, Ends
from trustbench.store import addresses
from trustbench.store.records import Store

POLL_S = 1.0


class Machines(ABC):
    """Workers that are handed arms, and return outcomes. Indices are those of the sweep's arms."""

    def __init__(self) -> None:
        self.sent: dict[int, Arm] = {}

    @abstractmethod
    def room(self) -> int:
        """How many more arms could be started now."""

    @abstractmethod
    def submit(self, arms: Mapping[int, Arm]) -> None:
        """Starts arms, each in a process of its own."""

    @abstractmethod
    def ended(self, timeout_s: float) -> Ends:
        """The arms that have ended since the last call; waits for one up to `timeout_s`."""

    @abstractmethod
    def leave(self) -> None:
        """Ends what still runs, and leaves the machines."""

    def prepare(self) -> None:  # noqa: B027  # both are ready when made
        """Does nothing: the machines are there."""

    def start(self, waiting: Sequence[ScheduledArm]) -> Sequence[ScheduledArm]:
        """Submits the first arms of the list, as many as there is room for."""
        chosen = waiting[: max(self.room(), 0)]
        if chosen:
            self.sent.update({job.index: job.arm for job in chosen})
            self.submit({job.index: _sent(job.arm) for job in chosen})
        return chosen

    def poll(self) -> Ends:
        """The arms that have ended, with records uploaded from here that machines could not."""
        return {
            index: _completed(self.sent.pop(index), result)
            for index, result in self.ended(POLL_S).items()
        }

    def stop(self) -> Ends:
        """Leaves the machines, which do not tell how far each arm had got."""
        self.leave()
        return {}


def _sent(arm: Arm) -> Arm:
    """An arm as machines get it: a database in a file is for the processes of one machine only."""
    file = arm.tracking_uri is None or addresses.in_file(arm.tracking_uri)
    return replace(arm, uploads=not file)


def _completed(arm: Arm, result: ArmOutcome | Death) -> ArmOutcome | Death:
    """The end of an arm, with what only this machine knows or can do."""
    if isinstance(result, Death):
        return replace(result, identify=partial(_arm_id, arm))
    if _sent(arm).uploads or result.arm_id is None:
        return result
    warning = [*filter(None, [result.warning]), *jobs.upload(arm, result.arm_id)]
    return replace(result, warning="\n".join(dict.fromkeys(warning)) or None)


def _arm_id(arm: Arm) -> str | None:
    """Under which id the arm's process wrote.

    None where this machine cannot read its data, or where its learning rate was never chosen.
    """
    try:
        made = settled(plan(arm), Store(arm.output_dir))
    except TrustbenchError:
        return None
    return made.arm_id if made else None
