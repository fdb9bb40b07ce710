"""An arm in a process of another scheduler: Ray's worker, or a SLURM job."""

import os
import socket
import sys
from collections.abc import Callable

from trustbench import __version__
from trustbench.config.arm_labels import label_of
from trustbench.config.arms import Arm
from trustbench.errors import TrustbenchError
from trustbench.execution.job import ArmOutcome
from trustbench.execution.progress import REPORTS, Lines
from trustbench.launching.child import Log
from trustbench.store.records import Store

Work = Callable[[Arm], ArmOutcome]


def run_arm(work: Work, arm: Arm, version: str) -> ArmOutcome:
    """Runs the arm; its output goes to the arm's log, its stages to the cluster's log.

    Raises:
        TrustbenchError: this machine has another trustbench than the sender of the arm.
    """
    if version != __version__:
        raise TrustbenchError(
            f"{socket.gethostname()} has trustbench {__version__}, and the sweep was started "
            f"with {version}; install the same version on all machines."
        )
    with os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1) as out:
        log = Log(Store(arm.output_dir), f"{label_of(arm)} on {socket.gethostname()}")
        REPORTS.set(Stages(Lines(label_of(arm), arm.protocol.replicates, out), log))
        return work(arm)


class Stages:
    """An arm's progress as lines in the cluster's log."""

    def __init__(self, lines: Lines, log: Log) -> None:
        self.lines, self.log = lines, log

    def __call__(self, stage: str, done: int, total: int) -> None:
        """One line for a new stage."""
        self.lines(stage, done, total)

    def identified(self, arm_id: str) -> None:
        """Switches to the arm's own log."""
        self.log.identified(arm_id)
