"""The function that Hydra calls for each job, and its results, which bypass hydra.main."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trustbench.config.arm_labels import labelled
from trustbench.config.arms import Arm
from trustbench.config.build_arm import build_arm
from trustbench.config.compose.messages import sentence
from trustbench.config.compose.overrides import Options, listing
from trustbench.config.compose.security import refuse_path
from trustbench.config.plugins import discover
from trustbench.config.sweep_arms import together
from trustbench.contracts import Metrics
from trustbench.errors import ConfigError, TrustbenchError

R = TypeVar("R")


@dataclass(frozen=True)
class RunRequest:
    """What a run was asked to do, once all of it has been composed and checked."""

    arms: Mapping[str, Arm]
    experiment: str
    table: Path
    sweep: bool
    warm_up: Callable[[], object] = bool
    """What the launcher can do while the run is prepared."""
    manifest: str | None = None
    """The digest of the experiment's manifest before the first arm started, if there was one."""

    @property
    def first(self) -> Arm:
        """The first arm; folders and tracking are the same for all."""
        return next(iter(self.arms.values()))

    @property
    def metrics(self) -> dict[str, Metrics]:
        """What the evaluators of the arms declare, by their names."""
        return {name: m for arm in self.arms.values() for name, m in arm.metrics.items()}


@dataclass(frozen=True)
class RunStart:
    """What was created or found before the first arm starts."""

    sweep_run: str | None = None
    """The sweep's run on the tracking server, if there is one."""
    finished: tuple[Any, ...] = ()
    """The results of an earlier run of this very sweep for each arm, if all are finished."""
    manifest: str | None = None
    """See `RunRequest`."""


class ComposedJob(NamedTuple):
    """One arm of a sweep before it is composed."""

    name: str
    compose: Callable[[], tuple[DictConfig, Any]]
    """Its configuration, and Hydra's part of it."""
    known: Callable[[], Any]
    """The configuration without its own values, which shows which keys exist."""


class Task(Generic[R]):
    """Two functions that look like one to Hydra.

    `begin` runs once in the parent process before any job; `work` runs an arm, in the process that
    the launcher chose. Launchers pickle the task, so both are module-level functions.
    """

    def __init__(self, begin: Callable[[RunRequest], RunStart], work: Callable[[Arm], R]) -> None:
        self.begin, self.work = begin, work
        self.request: RunRequest | None = None
        self.begun = RunStart()
        self.arguments: tuple[str, ...] = ()  # the command line's overrides, but for Hydra's own
        self.labels: tuple[str, ...] = ()  # of a sweep's arms, in order
        self.warm_up: Callable[[], object] = bool  # a launcher's own, see RunRequest
        self.launches: list[Callable[[], Sequence[R]]] = []
        self.results: list[R] = []
        self.error: Exception | None = None

    def __getstate__(self) -> dict[str, Any]:
        """A worker process needs only the functions and the sweep's run."""
        light = replace(self.begun, finished=())
        return {
            **self.__dict__,
            "asked": None,
            "begun": light,
            "results": [],
            "launches": [],
            "warm_up": bool,
        }

    def __call__(self, config: DictConfig) -> R | None:
        """Runs a job of a sweep here; a single job runs after Hydra has returned.

        Hydra prints its own report of exceptions in jobs, so a single run keeps its error.
        """
        hydra = HydraConfig.get()
        if hydra.mode == RunMode.MULTIRUN:
            arm = arm_of(config, hydra)
            called = self.labels[hydra.job.num]
            return self.work(replace(arm, sweep_run=self.begun.sweep_run, label=called))
        try:
            arm = arm_of(config, hydra)
            if arm.protocol.pools > 1:
                raise ConfigError(
                    f"protocol.pools={arm.protocol.pools} redraws the data for every arm of a "
                    "sweep; add -m, or drop it to run one arm on one pool."
                )
            self._start({"arm": arm}, config, hydra, sweep=False)
        except Exception as error:  # noqa: BLE001  # hydra_run raises it, without Hydra's report
            self.error = error
        return None

    def check(self, jobs: Sequence[ComposedJob], master: Any) -> None:
        """Composes and builds every job of a sweep before the first one starts.

        Raises:
            ConfigError: every problem of every arm, each once.
        """
        arms: dict[str, Arm] = {}
        problems: dict[str, tuple[str, ...]] = {}
        for job in jobs:
            try:
                arms[job.name] = arm_of(*job.compose())
            except (HydraException, OmegaConfBaseException) as error:
                known = OmegaConf.to_container(job.known())
                problems[job.name] = (sentence(error, known, options(master)),)
            except ConfigError as error:
                problems[job.name] = error.problems
        if problems:
            raise ConfigError(together(problems, len(jobs)))
        self._start(arms, master, master.hydra, sweep=True)

    def launch(self, launcher: Launcher, jobs: Sequence[Sequence[str]], first: int) -> Any:
        """Keeps the results of jobs run by Hydra's own launchers.

        Launchers that receive arms (`hydra_plugins/trustbench_arms_launcher.py`) run them after
        Hydra has returned. If every arm is finished, no launcher starts anything.
        """
        assert self.request is not None
        if self.begun.finished:
            self.results.extend(self.begun.finished[first : first + len(jobs)])
            return []
        run_arms = getattr(launcher, "run_arms", None)
        if run_arms is not None:
            arms = dict(list(self.request.arms.items())[first : first + len(jobs)])
            self.launches.append(partial(run_arms, arms, self.work))
            return []
        try:
            returns = launcher.launch(jobs, initial_job_idx=first)
        except BrokenProcessPool as error:
            raise TrustbenchError(
                "a worker process died (killed, or out of memory); what had finished is kept: "
                "run the same command again, with fewer jobs at once."
            ) from error
        except ValueError as error:
            raise ConfigError(
                f"the launcher refuses its settings: {error}; `trustbench run --cfg hydra -p "
                "hydra.launcher` shows them."
            ) from error
        self.results.extend(r.return_value for r in returns)
        return returns

    def _start(
        self, arms: Mapping[str, Arm], config: DictConfig, hydra: Any, *, sweep: bool
    ) -> None:
        arms = labelled(arms)
        self.labels = tuple(arm.label for arm in arms.values())
        experiment = next(iter(arms.values())).experiment
        self.request = RunRequest(arms, experiment, _table(config, hydra), sweep, self.warm_up)
        self.begun = self.begin(self.request)
        run = self.begun.sweep_run
        belonging = {name: replace(arm, sweep_run=run) for name, arm in arms.items()}
        self.request = replace(self.request, arms=belonging, manifest=self.begun.manifest)


def options(master: Any) -> Options:
    """Returns a function that lists the options of a config group in a configuration's folders."""
    return listing(_sources(master.hydra))


def arm_of(config: DictConfig, hydra: Any) -> Arm:
    """Builds the arm of a composed configuration and Hydra's own part of it.

    Raises:
        ConfigError: every problem of the configuration.
    """
    plain = {str(k): _plain(config, k) for k in config if k != "hydra"}
    missing = sorted(_missing(plain))
    if missing:
        raise ConfigError([f"{key} has no value yet; give {key}=VALUE." for key in missing])
    experiment = str(hydra.runtime.choices.get("experiment") or "default")
    refuse_path(experiment)
    return build_arm(plain, experiment)


def _plain(config: DictConfig, key: Any) -> Any:
    """The value of a key, with interpolations resolved; `???` if it has none."""
    if OmegaConf.is_missing(config, key):
        return MISSING
    value = config[key]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _missing(value: Any, key: str = "") -> Iterator[str]:
    if value == MISSING:
        yield key
    elif isinstance(value, Mapping):
        for k, inner in value.items():
            yield from _missing(inner, f"{key}.{k}".lstrip("."))


def _table(config: DictConfig, hydra: Any) -> Path:
    """The file of the registered table, which a run may choose but not change."""
    name = str(hydra.runtime.choices.get("table"))
    path = discover("table", _sources(hydra)).get(name)
    if path is None or OmegaConf.load(path) != config.table:
        raise ConfigError(
            f"table is not the registered table {name!r}; a table is fixed before anything "
            f"runs: write one that says `extends: {name}` and what differs, and choose it with "
            "table=NAME."
        )
    return path


def _sources(hydra: Any) -> list[Path]:
    return [Path(s.path) for s in hydra.runtime.config_sources if s.schema == "file"]
