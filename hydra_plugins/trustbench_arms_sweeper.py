"""The `arms` sweeper: an experiment's list of arms, times whatever else is swept.

Hydra's basic sweeper only multiplies, and `intervention=none` has no epsilon to multiply with;
so `hydra.sweeper.arms` lists the arms, each a list of overrides. Hydra imports this module in
every Hydra application, so nothing heavy is imported here.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from trustbench.compose.task import Task


@dataclass
class ArmsSweeperConf(BasicSweeperConf):
    """`hydra.sweeper`; `arms` maps each arm's name to its overrides.

    `factors`, a list of interventions, adds an arm for every subset of them.
    """

    _target_: str = "hydra_plugins.trustbench_arms_sweeper.ArmsSweeper"
    arms: dict[str, Any] = field(default_factory=dict)
    factors: list[str] = field(default_factory=list)


ConfigStore.instance().store(
    group="hydra/sweeper", name="arms", node=ArmsSweeperConf, provider="trustbench"
)


UNREAD = ("sweeper", "launcher", "job_logging", "hydra_logging")


class ComposedOnce:
    """Hydra's config loader, for which nothing is composed a second time.

    Composing takes a fifth of a second. Jobs that choose the same options and differ in values
    share one composition, which values are then set in, as Hydra itself sets them last. A worker
    process gets the loader without what it holds.
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.shared: dict[tuple[str, ...], DictConfig] = {}
        self.light: dict[tuple[str, ...], DictConfig] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"loader": self.loader, "shared": {}, "light": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def compose(self, master: DictConfig, overrides: Sequence[str]) -> tuple[DictConfig, Any]:
        """What a job's arm is made of, and Hydra's part of its configuration, which is shared.

        The first is without what no arm reads and copying would take most of the time: the table,
        and of Hydra's part the list of all arms.
        """
        options, values = self._parsed(overrides)
        hydra = self._shared(master, options).hydra
        if options not in self.light:
            light = copy.deepcopy(self.shared[options])
            light.table = None
            for part in UNREAD:
                light.hydra[part] = {}
            self.light[options] = light
        made = copy.deepcopy(self.light[options])
        self.loader._apply_overrides_to_config(values, made)
        return made, hydra

    def _parsed(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        """(those that choose options, those that set values)."""
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        values = [o for o in parsed if self._sets_a_value(o)]
        return tuple(str(o.input_line) for o in parsed if o not in values), values

    def _shared(self, master: DictConfig, options: tuple[str, ...]) -> DictConfig:
        if options not in self.shared:
            self.shared[options] = self.loader.load_sweep_config(master, list(options))
        return self.shared[options]

    def _sets_a_value(self, override: Override) -> bool:
        """Whether it sets a value, which no choice of options depends on."""
        key = override.key_or_group
        return not override.is_hydra_override() and not self.loader.repository.group_exists(key)

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: list[str]
    ) -> DictConfig:
        """The whole configuration of a job: what launchers that compose call, once for each."""
        options, values = self._parsed(sweep_overrides)
        made = copy.deepcopy(self._shared(master_config, options))
        self.loader._apply_overrides_to_config(values, made)
        given = OverridesParser.create().parse_overrides(list(sweep_overrides))
        made.hydra.overrides.task = [str(o.input_line) for o in given if not o.is_hydra_override()]
        return made


class ArmsSweeper(BasicSweeper):
    """Composes and checks every arm before the first one starts, then launches them all."""

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        arms: Mapping[str, Any] | None = None,
        factors: Sequence[str] | None = None,
    ) -> None:
        super().__init__(max_batch_size, params)
        self.arms: Mapping[str, Any] = arms or {}
        self.factors = factors or []
        self.task: Task[Any] | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keeps the task, which takes the results: hydra.main throws them away."""
        self.loader = ComposedOnce(hydra_context.config_loader)
        context = HydraContext(config_loader=self.loader, callbacks=hydra_context.callbacks)  # type: ignore[arg-type]
        super().setup(hydra_context=context, task_function=task_function, config=config)
        self.task = task_function  # type: ignore[assignment]

    def sweep(self, arguments: list[str]) -> Any:
        """The job returns of all arms, in the order of the list."""
        assert self.task is not None and self.launcher is not None
        assert self.config is not None
        jobs = self.pools(self.expand([*self._parse_config(), *arguments]))
        composed = [(name, partial(self.loader.compose, self.config, o)) for name, o in jobs]
        self.task.check(composed, self.config)
        batches = [overrides for _, overrides in jobs]
        size = self.max_batch_size or len(batches)
        return [
            self.task.launch(self.launcher, batches[start : start + size], start)
            for start in range(0, len(batches), size)
        ]

    def expand(self, swept: Sequence[str]) -> list[tuple[str, list[str]]]:
        """(name, overrides) of every job: arms first, then the product of what is swept.

        Raises:
            ConfigError: the list of arms is malformed or contradicts what is swept.
        """
        from trustbench.sweeping import named_arms, refuse_contradictions, subsets

        parser = OverridesParser.create()
        common = parser.parse_overrides(list(swept))
        jobs: list[tuple[str, list[str]]] = []
        arms = {**(subsets(self.factors) if self.factors else {}), **self.arms}
        for name, overrides in named_arms(arms).items():
            own = parser.parse_overrides(overrides)
            refuse_contradictions(name, _keys(common), _keys(own))
            for combination in self.split_arguments([*own, *common], None)[0]:
                jobs.append((_name(name, combination, [*own, *common]), combination))
        return list({name: (name, overrides) for name, overrides in jobs}.values())

    def pools(self, jobs: Sequence[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
        """The jobs, once for each of `protocol.pools` draws of the data."""
        from trustbench.sweeping import redrawn

        assert self.config is not None
        seed, pools = int(self.config.seed), int(self.config.protocol.pools)
        return [
            job for name, own in jobs for job in redrawn(name, own, seed, max(pools, 1)).items()
        ]


def _keys(overrides: Sequence[Override]) -> dict[str, bool]:
    """Each override's key, and whether it sweeps."""
    return {o.get_key_element().lstrip("+~"): o.is_sweep_override() for o in overrides}


def _name(arm: str, combination: Sequence[str], overrides: Sequence[Override]) -> str:
    """The arm's name, with the values that this job takes of what is swept."""
    swept = {o.get_key_element() for o in overrides if o.is_sweep_override()}
    values = [c for c in combination if c.split("=", 1)[0] in swept]
    return " ".join([*([arm] if arm else []), *values]) or "arm"
