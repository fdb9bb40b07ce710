"""The arms of a sweep as composed by Hydra: each once, and with the settings that apply to it."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from trustbench.config.compose.reading import without_table
from trustbench.config.compose.security import check_composed, copied_variables
from trustbench.config.compose.task import ComposedJob, options
from trustbench.config.sweep_arms import CHOSEN, method_of, refuse_unused

UNREAD = ("sweeper", "launcher", "job_logging", "hydra_logging")


class ComposedOnce:
    """Hydra's config loader, which composes nothing twice.

    Composing takes a fifth of a second, and Hydra composes every job of a sweep from scratch
    (hydra#1324). `_apply_overrides_to_config` is private; the Compose API composes from scratch
    too and has no sweeps (hydra#3103). Jobs that choose the same options and differ in values
    share one composition, in which the values are then set, as Hydra itself sets them last. A
    worker process gets the loader without its cache.
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
        """Composes a job's arm, and Hydra's part of its configuration, which is shared.

        The first lacks what no arm reads and what would take most of the time to copy: the table
        and, in Hydra's part, the list of all arms.
        """
        chosen, values = self._parsed(overrides)
        hydra = self._shared(master, chosen).hydra
        if chosen not in self.light:
            light = copy.deepcopy(self.shared[chosen])
            light.table = None
            for part in UNREAD:
                light.hydra[part] = {}
            self.light[chosen] = light
        made = copy.deepcopy(self.light[chosen])
        self.loader._apply_overrides_to_config(values, made)
        return made, hydra

    def chosen(self, master: DictConfig, overrides: Sequence[str]) -> dict[str, set[str]]:
        """The plugins of each group of which a job chooses any number."""
        made = self.known(master, overrides)
        return {group: set(made.get(group) or ()) for group in CHOSEN}

    def job(self, master: DictConfig, name: str, overrides: Sequence[str]) -> ComposedJob:
        """An arm of a sweep, composed when it is checked."""

        def known() -> DictConfig:
            try:
                return self.known(master, overrides)
            except (HydraException, OmegaConfBaseException):  # its options cannot be composed
                return master

        return ComposedJob(name, partial(self.compose, master, overrides), known)

    def known(self, master: DictConfig, overrides: Sequence[str]) -> DictConfig:
        """The configuration of a job without the values that it sets."""
        return self._shared(master, self._parsed(overrides)[0])

    def _parsed(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        """(those that choose options, those that set values)."""
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        values = [o for o in parsed if self._sets_a_value(o)]
        return tuple(str(o.input_line) for o in parsed if o not in values), values

    def _shared(self, master: DictConfig, options: tuple[str, ...]) -> DictConfig:
        if options not in self.shared:
            with copied_variables(), without_table():
                made = self.loader.load_sweep_config(master, list(options))
            check_composed(made, [*master.hydra.overrides.hydra, *options])
            self.shared[options] = made
        return self.shared[options]

    def _sets_a_value(self, override: Override) -> bool:
        """Whether it sets a value, on which no choice of options depends."""
        key = override.key_or_group
        return not override.is_hydra_override() and not self.loader.repository.group_exists(key)

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: list[str]
    ) -> DictConfig:
        """The whole configuration of a job; launchers that compose call this once per job."""
        chosen, values = self._parsed(sweep_overrides)
        made = copy.deepcopy(self._shared(master_config, chosen))
        self.loader._apply_overrides_to_config(values, made)
        given = OverridesParser.create().parse_overrides(list(sweep_overrides))
        made.hydra.overrides.task = [str(o.input_line) for o in given if not o.is_hydra_override()]
        return made


class Applying:
    """Settings of methods that a sweep gives for all arms: each applies to those that chose it."""

    def __init__(self, loader: ComposedOnce, master: Any, common: Sequence[Override]) -> None:
        self.loader, self.master = loader, master
        keys = [o.get_key_element() for o in common]
        self.settings = {k: found for k in keys if (found := method_of(k)) is not None}
        self.used: set[str] = set()

    def to(self, combination: Sequence[str]) -> list[str]:
        """The overrides of a job without settings of methods that it does not choose."""
        own = [o for o in combination if o.split("=", 1)[0] not in self.settings]
        if len(own) == len(combination):
            return own
        try:
            chosen = self.loader.chosen(self.master, own)
        except (HydraException, OmegaConfBaseException):  # reported when the job is checked
            self.used.update(self.settings)
            return own
        fits = {k for k, (group, name) in self.settings.items() if name in chosen[group]}
        self.used |= fits
        return [o for o in combination if o in own or o.split("=", 1)[0] in fits]

    def refuse_unused(self) -> None:
        """Raises ConfigError for settings that no job can use."""
        refuse_unused(self.settings, self.used, options(self.master))
