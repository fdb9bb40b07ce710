"""A sweep's arms on Ray or SLURM, from the settings to the outcomes."""

import sys
from collections.abc import Mapping

from trustbench.config.arms import Arm
from trustbench.errors import ConfigError
from trustbench.execution.job import ArmOutcome
from trustbench.launching.ray_cluster import RayMachines, RaySettings
from trustbench.launching.schedule import Stop, SweepSchedule, scheduled
from trustbench.launching.scheduler import Scheduler
from trustbench.launching.slurm import SlurmMachines, SlurmSettings
from trustbench.launching.view import PlainLines
from trustbench.launching.worker import Work
from trustbench.store import addresses
from trustbench.store.records import Store


def on_ray(
    arms: Mapping[str, Arm], work: Work, settings: RaySettings, stop: Stop
) -> list[ArmOutcome]:
    """Runs the arms on Ray and returns their outcomes, in order.

    Raises:
        ConfigError: the cluster cannot be used, or records written there would never come back.
    """
    if settings.outputs is not None:
        _refuse_unreachable(arms)
    view = PlainLines(sys.stderr)
    schedule = SweepSchedule(scheduled(arms), settings.retries, stop, view)
    machines = RayMachines(settings, work, view.note)
    return Scheduler(schedule, machines, patience_s=settings.patience_s).run()


def on_slurm(
    arms: Mapping[str, Arm], work: Work, settings: SlurmSettings, stop: Stop
) -> list[ArmOutcome]:
    """Runs the arms on SLURM and returns their outcomes, in order.

    Raises:
        ConfigError: SLURM cannot be used, or refuses the jobs.
    """
    schedule = SweepSchedule(scheduled(arms), settings.retries, stop, PlainLines(sys.stderr))
    folder = Store(schedule.every[0].arm.output_dir).jobs
    return Scheduler(schedule, SlurmMachines(settings, folder, work)).run()


def _refuse_unreachable(arms: Mapping[str, Arm]) -> None:
    """Folders on other machines' own disks are unreadable here: records need a tracking server."""
    uris = {arm.tracking_uri for arm in arms.values()}
    if any(uri is None or addresses.in_file(uri) for uri in uris):
        raise ConfigError(
            "hydra.launcher.outputs is a folder on each machine's own disk, from which records "
            "come back through a tracking server only; give tracking_uri=http://HOST:PORT, or "
            "drop hydra.launcher.outputs and use a shared disk."
        )
