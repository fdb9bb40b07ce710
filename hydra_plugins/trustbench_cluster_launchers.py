"""The `ray` and `slurm` launchers: how Hydra finds them; the work is in trustbench.launching.

Hydra imports this module in every Hydra application, so nothing heavy is imported here.
"""

import importlib.util
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from typing_extensions import override

from hydra_plugins.trustbench_arms_launcher import ArmsLauncher, plain

if TYPE_CHECKING:
    from trustbench.config.arms import Arm
    from trustbench.execution.job import ArmOutcome


class ClusterLauncher(ArmsLauncher):
    """What the launchers for several machines share."""

    name = ""
    package = ""

    def __init__(self, **settings: Any) -> None:
        self.settings = plain(settings)

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

    @abstractmethod
    def check(self) -> None:
        """Raises ConfigError for settings that are wrong."""


class RayLauncher(ClusterLauncher):
    """Arms on the machines of a Ray cluster."""

    name = package = "ray"

    def check(self) -> None:
        """Raises ConfigError for settings that are wrong."""
        from trustbench.config.binding import bind
        from trustbench.launching.ray_cluster import RaySettings

        self.bound = bind(RaySettings, self.settings, "hydra.launcher")

    @override
    def run_arms(
        self, arms: "Mapping[str, Arm]", work: "Callable[[Arm], ArmOutcome]"
    ) -> "Sequence[ArmOutcome]":
        from trustbench.launching.clusters import on_ray

        return on_ray(list(arms.values()), work, self.bound)


class SlurmLauncher(ClusterLauncher):
    """Arms as jobs of SLURM."""

    name, package = "slurm", "submitit"

    def check(self) -> None:
        """Raises ConfigError for settings that are wrong."""
        from trustbench.config.binding import bind
        from trustbench.launching.slurm import SlurmSettings

        self.bound = bind(SlurmSettings, self.settings, "hydra.launcher")

    @override
    def run_arms(
        self, arms: "Mapping[str, Arm]", work: "Callable[[Arm], ArmOutcome]"
    ) -> "Sequence[ArmOutcome]":
        from trustbench.launching.clusters import on_slurm

        return on_slurm(list(arms.values()), work, self.bound)
