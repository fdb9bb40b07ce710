"""Arguments shared by the subcommands."""

import argparse
import os
from pathlib import Path
from typing import NoReturn

from trustbench.errors import UserError
from trustbench.store.records import Store


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError instead of printing the usage."""
        raise UserError(f"{message}; see `{self.prog} --help`.")


def parser(command: str, description: str) -> Parser:
    """The parser of a subcommand."""
    return Parser(prog=f"trustbench {command}", description=description, allow_abbrev=False)


def add_folder(to: argparse.ArgumentParser) -> None:
    """Adds --from."""
    default = os.environ.get("TRUSTBENCH_OUTPUTS", "outputs")
    to.add_argument(
        "--from", dest="folder", metavar="DIR", default=default, help=f"records (default {default})"
    )


def add_store(to: argparse.ArgumentParser) -> None:
    """Adds --from and --tracking-uri."""
    add_folder(to)
    to.add_argument("--tracking-uri", metavar="URI", help="an MLflow server or database")


def add_evaluation(to: argparse.ArgumentParser) -> None:
    """Adds --evaluation."""
    to.add_argument(
        "--evaluation",
        metavar="ID",
        action="append",
        default=[],
        help="of an evaluator that was run with several settings, the evaluation to read "
        "(default: the registered settings); repeatable",
    )


def add_config_dir(to: argparse.ArgumentParser) -> None:
    """Adds --config-dir."""
    to.add_argument("--config-dir", metavar="DIR", help="a folder with options of your own")


def existing_store(folder: str) -> Store:
    """The store in a folder; UserError when there is none."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UserError(
            f"{folder} is not a folder of records; give the output_dir of a run with --from, "
            "or run an experiment first: trustbench run +experiment=dp_vs_fairness"
        )
    return Store(path)


def experiments(store: Store) -> list[str]:
    """The experiments that have a sweep manifest, sorted."""
    return store.experiments()
