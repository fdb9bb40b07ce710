"""Arms as SLURM jobs, submitted by submitit; or as submitit's processes on this machine.

The input and output of a job travel as pickles in a folder that only the user can read; they are
deleted once the outcome is there.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from trustbench.config.arms import Arm
from trustbench.errors import ConfigError
from trustbench.execution.job import ArmOutcome
from trustbench.launching.machines import Machines
from trustbench.launching.scheduler import Death, Ends
from trustbench.launching.slurm_job import ArmJob
from trustbench.launching.slurm_queue import Queue
from trustbench.launching.worker import Work

# allowed in the comments at the head of a batch file, where a separate line would be run
Word = Annotated[str, Field(pattern=r"^[\w.,:@%/=+&|*!()\[\]-]+$")]
SIGNAL_S = 90  # how long before its end a job gets the signal to stop and be queued again


@dataclass(frozen=True)
class SlurmSettings:
    """`hydra.launcher` of hydra/launcher=slurm; its file explains the keys."""

    cluster: Literal["slurm", "local"] = "slurm"
    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    cpus: Annotated[int, Field(ge=1)] = 1
    gpus: Annotated[int, Field(ge=0)] = 0
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    time: Annotated[int, Field(ge=1)] = 240
    requeues: Annotated[int, Field(ge=0)] = 3
    parallel: Annotated[int, Field(ge=1)] = 64
    retries: Annotated[int, Field(ge=0)] = 1
    setup: tuple[str, ...] = ()
    sbatch: Mapping[Word, Word | int | float | bool] = field(default_factory=dict)
    on_error: Literal["continue", "stop"] = "continue"


class SlurmMachines(Machines):
    """The jobs of a sweep in SLURM's queue."""

    def __init__(self, settings: SlurmSettings, folder: Path, work: Work) -> None:
        super().__init__()
        self.settings, self.work = settings, work
        self.executor = executor(settings, private(folder))
        self.running: dict[int, Any] = {}
        self.queue = Queue() if settings.cluster == "slurm" else None

    def room(self) -> int:
        """SLURM queues what exceeds `parallel`; submitit alone would start all at once."""
        if self.queue is not None:
            return len(self.running) + 10**6
        return self.settings.parallel - len(self.running)

    def submit(self, arms: Mapping[int, Arm]) -> None:
        """Submits arms, several as one array.

        Raises:
            ConfigError: SLURM refuses them, for example because of the partition.
        """
        import submitit

        # the sweep may itself be a job, whose size its arms would inherit
        for name in [n for n in os.environ if n.startswith("SLURM_") and n != "SLURM_CONF"]:
            del os.environ[name]
        try:
            with self.executor.batch():
                jobs = {i: self.executor.submit(ArmJob(self.work), arm) for i, arm in arms.items()}
        except submitit.core.utils.FailedJobError as error:
            raise ConfigError(
                f"SLURM refuses the jobs ({_refusal(error)}); correct hydra.launcher's partition, "
                "account, gpus, time or sbatch."
            ) from error
        self.running.update(jobs)
        if self.queue is not None:
            self.queue.watch(job.job_id for job in jobs.values())

    def ended(self, timeout_s: float) -> Ends:
        """The jobs whose result has arrived, and those that SLURM no longer knows without one."""
        deadline = time.monotonic() + timeout_s
        while True:
            over = {i: job for i, job in self.running.items() if self._over(job)}
            if over or time.monotonic() >= deadline:
                break
            time.sleep(0.2)
        for index in over:
            del self.running[index]
        return {index: self._result(job) for index, job in over.items()}

    def leave(self) -> None:
        """Cancels what is still queued or running."""
        for job in self.running.values():
            job.cancel(check=False)

    def _over(self, job: Any) -> bool:
        if self.queue is None or job.paths.result_pickle.exists():
            return bool(job.done())
        return self.queue.over(job.job_id)

    def _result(self, job: Any) -> ArmOutcome | Death:
        """The result of a job that is over; its pickles are deleted, its log stays."""
        import submitit

        log = job.paths.stdout
        died = Death(f"its job died ({self._state(job)}; log: {log})")
        if self.queue is not None and not job.paths.result_pickle.exists():
            return died  # submitit would wait until `sacct` reports it
        try:
            outcome: ArmOutcome = job.result()
        except submitit.core.utils.FailedJobError as error:
            return Death(f"{_refusal(error)}; its log is {log}", again=False)
        except submitit.core.utils.UncompletedJobError:
            return died
        for path in (job.paths.result_pickle, job.paths.submitted_pickle):
            path.unlink(missing_ok=True)
        return outcome

    def _state(self, job: Any) -> str:
        if self.queue is None:
            return f"process {job.job_id}"
        return f"job {job.job_id}: {self.queue.states.get(job.job_id, 'LOST')}"


def executor(settings: SlurmSettings, folder: Path) -> Any:
    """Submitit's executor, with every job's resources.

    Raises:
        ConfigError: this machine has no SLURM, or sbatch lacks an option.
    """
    import submitit

    local = settings.cluster == "local"
    try:
        made = submitit.AutoExecutor(
            folder=folder,
            cluster=settings.cluster,
            **{f"{settings.cluster}_max_num_timeout": settings.requeues},
        )
    except RuntimeError as error:
        raise ConfigError(
            f"hydra/launcher=slurm finds no SLURM on this machine ({_one_line(error)}); run it "
            "where sbatch and srun are, or with hydra.launcher.cluster=local."
        ) from error
    common = {
        "name": "trustbench",
        "timeout_min": settings.time,
        "cpus_per_task": settings.cpus,
        "gpus_per_node": settings.gpus or None,
        "mem_gb": settings.memory_gb,
        "stderr_to_stdout": True,
    }
    slurm = {
        "slurm_partition": settings.partition,
        "slurm_account": settings.account,
        "slurm_qos": settings.qos,
        "slurm_constraint": settings.constraint,
        "slurm_array_parallelism": settings.parallel,
        "slurm_signal_delay_s": SIGNAL_S,
        "slurm_setup": list(settings.setup) or None,
        "slurm_additional_parameters": dict(settings.sbatch) or None,
    }
    wanted = {**common, **({} if local else slurm)}
    made.update_parameters(**{k: v for k, v in wanted.items() if v is not None})
    return made


def private(folder: Path) -> Path:
    """The folder, to which only its owner may write, since its content is run.

    Raises:
        ConfigError: it belongs to somebody else, or others may write to it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ConfigError(
            f"{folder} can be written to by others, and what lies there is run as a job; "
            "make it your own (chmod 700), or choose another output_dir."
        )
    return folder


def _refusal(error: BaseException) -> str:
    """The last line with words in the output of a command or a job."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("---", "You can", "- /"))]
    return said[-1].rstrip(".") if said else type(error).__name__


def _one_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
