"""The body of a SLURM job, and how it stops at SLURM's signal."""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from trustbench import __version__
from trustbench.config.arms import Arm
from trustbench.errors import TrustbenchError
from trustbench.execution.job import ArmOutcome
from trustbench.launching.worker import Work, run_arm


class ArmJob:
    """Runs an arm. A job that SLURM ends is queued again and finds its checkpoint."""

    def __init__(self, work: Work) -> None:
        self.work, self.version = work, __version__

    def __call__(self, arm: Arm) -> ArmOutcome:
        """The arm's outcome."""
        import submitit

        number = getattr(signal, f"SIG{submitit.JobEnvironment.USR_SIG}")
        handler = signal.getsignal(number)
        if callable(handler):
            signal.signal(number, leaving(handler))
        return run_arm(self.work, arm, self.version)

    def checkpoint(self, arm: Arm) -> Any:
        """Runs when the job is queued again: the same, as the store knows how far it got."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, arm)


def leaving(handler: Callable[[int, FrameType | None], Any]) -> Any:
    """Submitit's handler of the signal before the end, which leaves by raising SystemExit.

    An arm would catch that as its own failure, so the process leaves at once. If the job has been
    queued again too often, the arm's reason says so.
    """
    import submitit

    def handle(number: int, frame: FrameType | None) -> NoReturn:
        try:
            handler(number, frame)
        except SystemExit as stop:
            os._exit(stop.code if isinstance(stop.code, int) else 1)
        except submitit.core.utils.UncompletedJobError as error:
            raise TrustbenchError(
                "the job reached its time limit more often than it may be queued again; raise "
                "hydra.launcher.time or requeues, and run the same command again: it continues "
                "from the last checkpoint."
            ) from error
        os._exit(1)

    return handle
