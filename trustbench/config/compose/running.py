"""hydra.main with an error policy, and the Compose API for commands that run nothing."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from trustbench.config.arms import Arm
from trustbench.config.compose.arguments import (
    SEARCHPATH,
    Command,
    conf_dir,
    conf_dirs,
    in_grammar,
    read,
)
from trustbench.config.compose.messages import complained_keys, sentence
from trustbench.config.compose.overrides import listing
from trustbench.config.compose.reading import read_once
from trustbench.config.compose.security import (
    check_composed,
    copied_variables,
    restricted_environment,
)
from trustbench.config.compose.task import RunRequest, RunStart, Task, arm_of
from trustbench.config.plugins import discover
from trustbench.config.sweep_arms import method_of
from trustbench.errors import ConfigError, TrustbenchError
from trustbench.store.redaction import redact

R = TypeVar("R")


def hydra_run(
    args: Sequence[str], begin: Callable[[RunRequest], RunStart], work: Callable[[Arm], R]
) -> tuple[RunRequest, list[R]] | None:
    """Returns the request and the result of each arm; None if Hydra only printed something.

    Hydra composes. Runs start after it has returned, except under Hydra's own launchers.

    Raises:
        ConfigError: the command line or the configuration is wrong.
        TrustbenchError: a worker process died.
    """
    task = Task(begin, work)
    _hydra_main(args, task)
    request = task.request
    if request is None:
        return None
    if not request.sweep:
        return request, [work(request.first)]
    for launch in task.launches:
        task.results.extend(launch())
    return request, task.results


def _hydra_main(args: Sequence[str], task: Task[R]) -> None:
    """Calls hydra.main with a task, and reports its errors in our words.

    hydra.main is an entry point of a program, which takes its arguments from `sys.argv`
    (facebookresearch/hydra#2459), returns nothing (#332, by design) and ends the process with its
    own report of an error unless an environment variable says otherwise (#2923). The Compose API
    has no sweeps (#2673, #3103).
    """
    command = Command((), (), (conf_dir(),))
    with _full_errors() as wanted, _guarded():
        try:
            command = read(args)
            _generate(command.dirs)
            task.arguments = tuple(o for o in command.overrides if not _is_hydras(o))
            overrides = _checked(command)
            with _as_argv([*command.flags, "--", *overrides]), _redacted(command.shows):
                conf = str(conf_dir())
                hydra.main(version_base="1.3", config_path=conf, config_name="config")(task)()
            if task.error is not None:
                raise task.error
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            if wanted or not _from_hydra(error):
                raise
            raise ConfigError(_explained(error, command)) from None
        except YAMLError as error:
            raise ConfigError(f"{' '.join(str(error).split())}; correct the file.") from None
        except SystemExit as stop:  # after --help (0) or a --package that does not exist (1)
            if stop.code:
                raise ConfigError(
                    "--package names no part of the configuration; `trustbench run --cfg job` "
                    "without it shows what there is."
                ) from None


class _Requested(Exception):  # ends Hydra's run before its launcher starts anything
    def __init__(self, request: RunRequest) -> None:
        super().__init__()
        self.request = request


def run_request(args: Sequence[str]) -> RunRequest | None:
    """What `trustbench run` with these arguments would do; None if Hydra only prints something.

    Raises:
        ConfigError: the command line or the configuration is wrong.
    """
    try:
        hydra_run(args, _stop, repr)
    except _Requested as found:
        return found.request
    return None


def _stop(request: RunRequest) -> NoReturn:
    raise _Requested(request)


def compose(overrides: Sequence[str] = (), dirs: Sequence[Path] | None = None) -> DictConfig:
    """Composes the configuration of `trustbench run OVERRIDES`, with Hydra's part in `hydra`."""
    dirs = dirs or conf_dirs()
    _generate(dirs)
    with _guarded():
        return _composed(overrides, dirs)


def _composed(
    overrides: Sequence[str], dirs: Sequence[Path], mode: RunMode | None = None
) -> DictConfig:
    """Composes a configuration and checks it; nothing acts on it.

    `mode` is that of a configuration which does not say whether it sweeps.
    """
    extra = [f"hydra.searchpath=[{','.join(map(in_grammar, dirs[1:]))}]"] if dirs[1:] else []
    given = [o for o in overrides if o.split("=", 1)[0].lstrip("+") != SEARCHPATH]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(dirs[0])):
        with copied_variables():
            made = hydra.compose("config", [*given, *extra], return_hydra_config=True)
        made.hydra.mode = made.hydra.mode or mode
        check_composed(made, overrides)
    return made


def _checked(command: Command) -> tuple[str, ...]:
    """The overrides that Hydra gets, once what it composes of them is known to be harmless.

    Hydra acts on what it has composed and has no hook in between (hydra#3188), so the Compose API
    composes it first. It takes no sweeps, which Hydra leaves out as well when it composes what all
    arms share. A sweep's settings of methods stay out too, because Hydra would refuse them
    (hydra#283): the sweeper gives them to the arms that have the method.
    """
    shared = tuple(o for o in command.overrides if method_of(o.split("=", 1)[0]) is None)
    mode = None if command.shows else RunMode.RUN
    made = _composed(_unswept(shared), command.dirs, mode)
    if made.hydra.mode == RunMode.MULTIRUN and not command.shows:
        return shared
    if shared != command.overrides:
        _composed(_unswept(command.overrides), command.dirs, mode)
    return command.overrides


def _unswept(overrides: Sequence[str]) -> list[str]:
    parser = OverridesParser.create()
    return [o for o in overrides if not parser.parse_override(o).is_sweep_override()]


def _is_hydras(override: str) -> bool:
    return override.lstrip("+~").startswith(("hydra.", "hydra/"))


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    with read_once(), restricted_environment():
        yield


def composed_arm(config: DictConfig) -> Arm:
    """Returns the arm described by the result of `compose`."""
    return arm_of(config, config.hydra)


def _generate(dirs: Sequence[Path]) -> None:
    """`evaluator=all`: every available evaluator, the user's own included."""
    store = ConfigStore.instance()
    everyone = list(discover("evaluator", dirs))
    store.store(group="evaluator", name="all", node={"defaults": everyone}, provider="trustbench")


def _from_hydra(error: BaseException) -> bool:
    """Whether Hydra raised it; it raises ValueError for some wrong files and overrides."""
    if not isinstance(error, ValueError) or isinstance(error, OmegaConfBaseException):
        return True
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    homes = ("hydra.", "logging.config")
    return trace is not None and trace.tb_frame.f_globals["__name__"].startswith(homes)


def _explained(error: BaseException, command: Command) -> str:
    return sentence(error, _known(error, command), listing(command.dirs))


def _known(error: BaseException, command: Command) -> Any:
    """The configuration without the overrides named by `error`, to suggest near names."""
    wrong = complained_keys(error)
    parser = OverridesParser.create()
    kept = [
        o
        for o in command.overrides
        if o.split("=", 1)[0].lstrip("+~") not in wrong
        and not o.startswith("hydra.")
        and not parser.parse_override(o).is_sweep_override()
    ]
    try:
        return OmegaConf.to_container(compose(kept, command.dirs))
    except (HydraException, OmegaConfBaseException, TrustbenchError, ValueError):
        return {}  # more than one key is wrong: the error gets no suggestion


@contextlib.contextmanager
def _as_argv(args: Sequence[str]) -> Iterator[None]:
    old, sys.argv = sys.argv, ["trustbench run", *args]
    try:
        yield
    finally:
        sys.argv = old


@contextlib.contextmanager
def _redacted(shows: bool) -> Iterator[None]:
    """The output of Hydra for a configuration (--cfg, --info), without the credentials in it.

    Its complaints are raised as well, in our words.
    """
    if not shows:
        yield
        return
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        sys.stdout.write(redact(printed.getvalue()))


@contextlib.contextmanager
def _full_errors() -> Iterator[bool]:
    """Lets Hydra raise instead of print and exit; yields whether the user wants tracebacks."""
    old = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield old == "1"
    finally:
        if old is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = old
