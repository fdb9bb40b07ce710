"""The `pool` launcher: each arm of a sweep in its own process on this machine.

Hydra imports this module in every Hydra application, so nothing heavy is imported here; the work
is in trustbench.launching.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from typing_extensions import override

from hydra_plugins.trustbench_arms_launcher import ArmsLauncher, plain

if TYPE_CHECKING:
    from trustbench.config.arms import Arm
    from trustbench.config.compose.task import Task
    from trustbench.execution.job import ArmOutcome
    from trustbench.launching.pool import Pool


@dataclass
class PoolLauncherConf:
    """`hydra.launcher`; trustbench.launching.options documents the keys and their values."""

    _target_: str = "hydra_plugins.trustbench_pool_launcher.PoolLauncher"
    slots: Any = None
    gpus: Any = None
    per_gpu: Any = 1
    timeout_s: Any = None
    memory_gb: Any = None
    on_error: Any = "continue"
    retries: Any = 1


ConfigStore.instance().store(
    group="hydra/launcher", name="pool", node=PoolLauncherConf, provider="trustbench"
)


class PoolLauncher(ArmsLauncher):
    """Hands the arms checked by the arms sweeper to the pool."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.task: Task[Any] | None = None
        self.pool: Pool | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Opens the pool, whose processes are made ready while the run is prepared.

        Raises:
            ConfigError: a setting is wrong.
        """
        from trustbench.launching.pool import opened

        task: Any = task_function
        self.task = task
        self.pool = opened(plain(self.settings))
        task.warm_up = self._warm_up

    def _warm_up(self) -> None:
        assert self.task is not None and self.task.request is not None and self.pool is not None
        self.pool.warm_up(self.task.request.first)

    @override
    def run_arms(
        self, arms: "Mapping[str, Arm]", work: "Callable[[Arm], ArmOutcome]"
    ) -> "Sequence[ArmOutcome]":
        assert self.pool is not None
        return self.pool.run(arms, work)
