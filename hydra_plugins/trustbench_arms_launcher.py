"""The base of trustbench's launchers: they receive arms, not overrides.

The arms sweeper has composed and checked every arm before a launcher is asked for anything, so
nothing is composed again, on this machine or on others; and they run once Hydra has returned.
Hydra imports this module in every Hydra application, so nothing heavy is imported here.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from hydra.plugins.launcher import Launcher

if TYPE_CHECKING:
    from trustbench.config.arms import Arm
    from trustbench.execution.job import ArmOutcome


class ArmsLauncher(Launcher):
    """Runs the arms of a sweep. `trustbench run` calls `run_arms` instead of `launch`."""

    @abstractmethod
    def run_arms(
        self, arms: "Mapping[str, Arm]", work: "Callable[[Arm], ArmOutcome]"
    ) -> "Sequence[ArmOutcome]":
        """The outcomes of arms, in their order; `work` runs one, in the process it is called in."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> NoReturn:
        """Refuses: Hydra calls this only under a sweeper other than trustbench's.

        Raises:
            ConfigError: always.
        """
        from trustbench.errors import ConfigError

        raise ConfigError(
            f"{type(self).__name__} takes arms that trustbench has composed, not overrides; start "
            "the sweep with `trustbench run -m`, or choose hydra/launcher=basic."
        )


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `hydra.launcher` as plain values, interpolations resolved."""
    from omegaconf import OmegaConf

    made: Any = OmegaConf.to_container(OmegaConf.create(dict(settings)), resolve=True)
    return dict(made)
