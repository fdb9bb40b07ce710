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
    from trustbench.launching.ray_cluster import RaySettings
    from trustbench.launching.slurm import SlurmSettings


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
        from trustbench.launching.schedule import Stop

        self.bound = self.checked()
        self.stop = Stop(self.bound.on_error)  # one for all batches of the sweep

    @abstractmethod
    def checked(self) -> Any:
        """The settings of the launcher.

        Raises:
            ConfigError: every problem of them.
        """


class RayLauncher(ClusterLauncher):
    """Arms on the machines of a Ray cluster."""

    name = package = "ray"

    @override
    def checked(self) -> "RaySettings":
        from trustbench.config.binding import bind
        from trustbench.launching.ray_cluster import RaySettings

        return bind(RaySettings, self.settings, "hydra.launcher")

    @override
    def run_arms(
        self, arms: "Mapping[str, Arm]", work: "Callable[[Arm], ArmOutcome]"
    ) -> "Sequence[ArmOutcome]":
        from trustbench.launching.clusters import on_ray

        return on_ray(arms, work, self.bound, self.stop)


class SlurmLauncher(ClusterLauncher):
    """Arms as jobs of SLURM."""

    name, package = "slurm", "submitit"

    @override
    def checked(self) -> "SlurmSettings":
        from trustbench.config.binding import bind
        from trustbench.launching.slurm import SlurmSettings

        return bind(SlurmSettings, self.settings, "hydra.launcher")

    @override
    def run_arms(
        self, arms: "Mapping[str, Arm]", work: "Callable[[Arm], ArmOutcome]"
    ) -> "Sequence[ArmOutcome]":
        from trustbench.launching.clusters import on_slurm

        return on_slurm(arms, work, self.bound, self.stop)
