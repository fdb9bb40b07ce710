"""A sweep's arms on Ray or SLURM, from the settings to the outcomes."""

import sys
from collections.abc import Sequence

from trustbench.config.arms import Arm
from trustbench.errors import ConfigError
from trustbench.execution.job import ArmOutcome
from trustbench.launching.driving import Drive, DrivingRules
from trustbench.launching.ray_cluster import RayMachines, RaySettings
from trustbench.launching.slurm import SlurmMachines, SlurmSettings
from trustbench.launching.worker import Work
from trustbench.store.records import Store


def on_ray(arms: Sequence[Arm], work: Work, settings: RaySettings) -> list[ArmOutcome]:
    """Runs the arms on Ray and returns their outcomes, in order.

    Raises:
        ConfigError: the cluster cannot be used, or records written there would never come back.
    """
    if settings.outputs is not None:
        _refuse_unreachable(arms)
    rules = DrivingRules(settings.retries, settings.patience_s, settings.on_error)
    return Drive(arms, RayMachines(settings, work, _note), rules, _note).run()


def on_slurm(arms: Sequence[Arm], work: Work, settings: SlurmSettings) -> list[ArmOutcome]:
    """Runs the arms on SLURM and returns their outcomes, in order.

    Raises:
        ConfigError: SLURM cannot be used, or refuses the jobs.
    """
    machines = SlurmMachines(settings, Store(arms[0].output_dir).jobs, work)
    rules = DrivingRules(settings.retries, on_error=settings.on_error)
    return Drive(arms, machines, rules, _note).run()


def _refuse_unreachable(arms: Sequence[Arm]) -> None:
    """Folders on other machines' own disks are unreadable here: records need a tracking server."""
    uris = {arm.tracking_uri for arm in arms}
    if any(uri is None or uri.startswith("sqlite:///") for uri in uris):
        raise ConfigError(
            "hydra.launcher.outputs is a folder on each machine's own disk, from which records "
            "come back through a tracking server only; give tracking_uri=http://HOST:PORT, or "
            "drop hydra.launcher.outputs and use a shared disk."
        )


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
