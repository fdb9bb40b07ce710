"""The `ray` and `slurm` launchers: how Hydra finds them; the work is in trustbench.launching.

The arms have been composed and checked before a launcher is asked to launch; so machines get
arms, not overrides, and nothing is composed on them. Hydra imports this module in every Hydra
application, so nothing heavy is imported here.
"""

import importlib.util
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from trustbench.config.compose.task import Task
    from trustbench.execution.job import Outcome


class ClusterLauncher(Launcher):
    """What the launchers for several machines share."""

    name = ""
    package = ""

    def __init__(self, **settings: Any) -> None:
        plain: Any = OmegaConf.to_container(OmegaConf.create(settings), resolve=True)
        self.settings: Mapping[str, Any] = plain
        self.task: Task[Any] | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keeps the task; refuses what cannot work before anything is composed.

        Raises:
            ConfigError: the extra is not installed, or a setting is wrong.
        """
        from trustbench.errors import ConfigError

        if importlib.util.find_spec(self.package) is None:
            raise ConfigError(
                f"hydra/launcher={self.name} needs trustbench[{self.name}]; "
                f"pip install 'trustbench[{self.name}]'."
            )
        self.check()
        self.task = task_function  # type: ignore[assignment]

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """The outcome of each of the sweep's arms that these jobs are."""
        assert self.task is not None and self.task.asked is not None
        arms = list(self.task.asked.arms.values())[initial_job_idx:][: len(job_overrides)]
        returns = []
        for overrides, outcome in zip(job_overrides, self.run(arms), strict=True):
            one = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
            one.return_value = outcome
            returns.append(one)
        return returns

    @abstractmethod
    def check(self) -> None:
        """Raises ConfigError for settings that are wrong."""

    @abstractmethod
    def run(self, arms: Sequence[Any]) -> "Sequence[Outcome]":
        """The outcomes of arms, in their order."""


class RayLauncher(ClusterLauncher):
    """Arms on the machines of a Ray cluster."""

    name = package = "ray"

    def check(self) -> None:
        """Raises ConfigError for settings that are wrong."""
        from trustbench.config.binding import bind
        from trustbench.launching.ray_cluster import RaySettings

        self.bound = bind(RaySettings, self.settings, "hydra.launcher")

    def run(self, arms: Sequence[Any]) -> "Sequence[Outcome]":
        """The outcomes of arms, in their order."""
        from trustbench.launching.clusters import on_ray

        assert self.task is not None
        return on_ray(arms, self.task.work, self.bound)


class SlurmLauncher(ClusterLauncher):
    """Arms as jobs of SLURM."""

    name, package = "slurm", "submitit"

    def check(self) -> None:
        """Raises ConfigError for settings that are wrong."""
        from trustbench.config.binding import bind
        from trustbench.launching.slurm import SlurmSettings

        self.bound = bind(SlurmSettings, self.settings, "hydra.launcher")

    def run(self, arms: Sequence[Any]) -> "Sequence[Outcome]":
        """The outcomes of arms, in their order."""
        from trustbench.launching.clusters import on_slurm

        assert self.task is not None
        return on_slurm(arms, self.task.work, self.bound)
