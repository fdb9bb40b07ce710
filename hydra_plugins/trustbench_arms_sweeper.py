"""The `arms` sweeper: an experiment's list of arms, combined with everything else that is swept.

Hydra's basic sweeper only multiplies, and `intervention=none` has no epsilon to multiply with.
`hydra.sweeper.arms` therefore lists the arms, each a list of overrides. Hydra imports this module
in every Hydra application, so nothing heavy is imported here.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from trustbench.config.compose.task import Task


@dataclass
class ArmsSweeperConf:
    """`hydra.sweeper`; `arms` maps each arm's name to its overrides.

    `factors`, a list of interventions, adds an arm for every subset of them.
    """

    _target_: str = "hydra_plugins.trustbench_arms_sweeper.ArmsSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] = field(default_factory=dict)
    arms: dict[str, Any] = field(default_factory=dict)
    factors: list[str] = field(default_factory=list)


ConfigStore.instance().store(
    group="hydra/sweeper", name="arms", node=ArmsSweeperConf, provider="trustbench"
)


class ArmsSweeper(Sweeper):
    """Composes and checks every arm before the first one starts, then launches them all."""

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        arms: Mapping[str, Any] | None = None,
        factors: Sequence[str] | None = None,
    ) -> None:
        self.max_batch_size, self.params = max_batch_size, params or {}
        self.arms: Mapping[str, Any] = arms or {}
        self.factors = factors or []
        self.task: Task[Any] | None = None
        self.launcher: Launcher | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keeps the task, which receives the results: hydra.main discards them."""
        from trustbench.config.compose.jobs import ComposedOnce
        from trustbench.errors import ConfigError

        self.loader = ComposedOnce(hydra_context.config_loader)
        context = HydraContext(config_loader=self.loader, callbacks=hydra_context.callbacks)  # type: ignore[arg-type]
        if self.max_batch_size is not None and self.max_batch_size < 1:
            raise ConfigError(
                f"hydra.sweeper.max_batch_size is {self.max_batch_size}; give at least 1, or null "
                "for all arms at once."
            )
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=task_function, config=config
        )
        self.task = task_function  # type: ignore[assignment]

    def sweep(self, arguments: list[str]) -> Any:
        """Returns the results of all arms, in the order of the list.

        `arguments` lacks what only some arms take; the task has all that the command line gives.
        """
        assert self.task is not None and self.launcher is not None and self.config is not None
        params = [f"{key}={value}" for key, value in self.params.items()]
        jobs = self.pools(self.expand([*params, *self.task.arguments]))
        self.task.check(
            [self.loader.job(self.config, name, own) for name, own in jobs], self.config
        )
        batches = [overrides for _, overrides in jobs]
        size = len(batches) if self.max_batch_size is None else self.max_batch_size
        return [
            self.task.launch(self.launcher, batches[start : start + size], start)
            for start in range(0, len(batches), size)
        ]

    def expand(self, swept: Sequence[str]) -> list[tuple[str, list[str]]]:
        """(name, overrides) of every job: arms first, then the product of all swept values.

        Raises:
            ConfigError: the list of arms is malformed or contradicts what is swept.
        """
        from trustbench.config.compose.jobs import Applying
        from trustbench.config.compose.overrides import refuse_impossible
        from trustbench.config.compose.task import options
        from trustbench.config.sweep_arms import named_arms, refuse_contradictions, subsets
        from trustbench.errors import ConfigError

        parser = OverridesParser.create(config_loader=self.loader.loader)
        common = parser.parse_overrides(list(swept))
        refuse_impossible(common, options(self.config))
        jobs: list[tuple[str, list[str]]] = []
        applying = Applying(self.loader, self.config, common)
        arms = {**(subsets(self.factors) if self.factors else {}), **self.arms}
        for name, overrides in named_arms(arms).items():
            own = parser.parse_overrides(overrides)
            refuse_contradictions(name, _keys(common), _keys(own))
            refuse_impossible(own, options(self.config), f"arm {name}: ")
            for every in _product([*own, *common]):
                combination = applying.to(every)
                jobs.append((_name(name, combination, [*own, *common]), combination))
        if not jobs:  # a pattern that matches no option
            given = ", ".join(str(o.input_line) for o in common)
            raise ConfigError(f"{given} leaves the sweep without an arm; list the values: key=a,b.")
        applying.refuse_unused()
        return list({name: (name, overrides) for name, overrides in jobs}.values())

    def pools(self, jobs: Sequence[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
        """The jobs, once for each of `protocol.pools` draws of the data."""
        from trustbench.config.sweep_arms import redrawn

        assert self.config is not None
        seed, pools = self.config.seed, self.config.protocol.get("pools", 1)
        if type(seed) is not int or type(pools) is not int:
            return list(jobs)  # reported when the jobs are checked
        return [
            job for name, own in jobs for job in redrawn(name, own, seed, max(pools, 1)).items()
        ]


def _product(overrides: Sequence[Override]) -> Iterator[list[str]]:
    """Every combination of the values of overrides; the last of two for one key counts.

    Hydra leaves a product of listed values to the application (hydra#2673).
    """
    values = {
        o.get_key_element(): list(o.sweep_string_iterator())
        if o.is_sweep_override()
        else [o.get_value_element_as_str()]
        for o in overrides
    }
    for chosen in itertools.product(*values.values()):
        yield [f"{key}={value}" for key, value in zip(values, chosen, strict=True)]


def _keys(overrides: Sequence[Override]) -> dict[str, bool]:
    """Each override's key, and whether it sweeps."""
    return {o.get_key_element().lstrip("+~"): o.is_sweep_override() for o in overrides}


def _name(arm: str, combination: Sequence[str], overrides: Sequence[Override]) -> str:
    """The arm's name, with the swept values of this job."""
    swept = {o.get_key_element() for o in overrides if o.is_sweep_override()}
    values = [c for c in combination if c.split("=", 1)[0] in swept]
    return " ".join([*([arm] if arm else []), *values]) or "arm"
