"""The flags of `trustbench run`: those of Hydra's that have an effect here, and one of our own.

Hydra's parser is private and takes no flags of an application (hydra#215, wontfix), so its flags,
which its documentation lists, are declared here and handed on.
"""

import argparse
import contextlib
import io
from collections.abc import Sequence

from hydra.core.override_parser.types import Override

from trustbench.errors import ConfigError

FAIL_FAST = "--fail-fast"
SWITCHES = (
    (FAIL_FAST,),
    ("--help", "-h"),
    ("--hydra-help",),
    ("--resolve",),
    ("--run", "-r"),
    ("--multirun", "-m"),
    ("--shell-completion", "-sc"),
)
VALUES = (
    ("--package", "-p"),
    ("--config-path", "-cp"),
    ("--config-name", "-cn"),
    ("--config-dir", "-cd"),
    ("--experimental-rerun",),
)
SHOWN = ("job", "hydra", "all")
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
FIXED = "a run starts from trustbench's own configuration; give your options with --config-dir"
UNUSED = {
    "config_name": FIXED,
    "config_path": FIXED,
    "experimental_rerun": "the same command again continues where the last one stopped",
    "shell_completion": "`trustbench completion bash` prints what completes them",
    "hydra_help": "`trustbench run --help` lists what it does use",
}
"""Hydra's flags that are refused, each with the reason or an alternative."""


def used() -> list[str]:
    """The long flags that a run takes."""
    names = [name for names in (*SWITCHES, *VALUES) for name in names if name.startswith("--")]
    return [n for n in names if n[2:].replace("-", "_") not in UNUSED] + ["--cfg", "--info"]


def parse(args: Sequence[str]) -> argparse.Namespace:
    """Parses the flags in `args`; the rest becomes `overrides`.

    Raises:
        ConfigError: an unknown flag, one that is not used, or contradictory ones.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            # intermixed: flags may stand between overrides, which plain argparse refuses
            flags, unknown = _parser().parse_known_intermixed_args(list(args))
    except SystemExit:
        last = complaint.getvalue().strip().splitlines()[-1].split("error: ", 1)[-1]
        raise ConfigError(f"{last}; see `trustbench run --help`.") from None
    if unknown:
        raise ConfigError(
            f"unknown option {' '.join(unknown)}; settings are given as key=value, "
            "flags are listed by `trustbench run --help`."
        )
    _refuse_unused(flags)
    _refuse_together(flags, args)
    return flags


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trustbench run", add_help=False)
    parser.add_argument("overrides", nargs="*")
    for names in SWITCHES:
        parser.add_argument(*names, action="store_true")
    for names in VALUES:
        parser.add_argument(*names)
    parser.add_argument("--cfg", "-c", choices=SHOWN)
    parser.add_argument("--info", "-i", const="all", nargs="?", choices=INFO)
    return parser


def mode(flags: argparse.Namespace, overrides: Sequence[Override]) -> list[str]:
    """Applies -m and --run to Hydra's configuration, which an experiment may also set."""
    given = [str(o.input_line) for o in overrides if o.key_or_group == "hydra.mode"]
    wanted = "MULTIRUN" if flags.multirun else "RUN" if flags.run else None
    flag = "-m" if flags.multirun else "--run"
    for o in given:
        if wanted is not None and o != f"hydra.mode={wanted}":
            raise ConfigError(f"{flag} and {o} contradict each other; drop one of them.")
    return [f"hydra.mode={wanted}"] if wanted and not given else []


def refuse_unstoppable(overrides: Sequence[str]) -> None:
    """Raises ConfigError for launchers that cannot stop after a failure."""
    for o in overrides:
        if o in ("hydra/launcher=basic", "hydra/launcher=joblib"):
            raise ConfigError(
                f"{FAIL_FAST} and {o} do not go together: it runs every arm; drop one of them."
            )


def _refuse_unused(flags: argparse.Namespace) -> None:
    for name, instead in UNUSED.items():
        if getattr(flags, name) not in (None, False):
            flag = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{flag} is given, but trustbench does not use it: {instead}.")


def _refuse_together(flags: argparse.Namespace, args: Sequence[str]) -> None:
    modes = [flags.run, flags.multirun, flags.cfg, flags.info]
    if sum(map(bool, modes)) > 1:
        raise ConfigError("give only one of --run, --multirun, --cfg, --info.")
    for name in ("resolve", "package"):
        if getattr(flags, name) and not flags.cfg:
            raise ConfigError(f"--{name} goes with --cfg; give both or neither.")
    folders = sum(a.split("=", 1)[0] in ("--config-dir", "-cd") for a in args)
    if folders > 1:
        raise ConfigError(
            f"--config-dir is given {folders} times; give one folder there, and more as "
            "'hydra.searchpath=[file:///FOLDER]'."
        )
