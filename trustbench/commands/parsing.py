"""Arguments shared by the subcommands."""

import argparse
from typing import NoReturn

from trustbench.api.folders import default_output_dir
from trustbench.errors import UserError


class Parser(argparse.ArgumentParser):
    """An argument parser that reports errors in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError instead of printing the usage."""
        raise UserError(f"{message}; see `{self.prog} --help`.")


def parser(command: str, description: str) -> Parser:
    """The parser of a subcommand."""
    return Parser(prog=f"trustbench {command}", description=description, allow_abbrev=False)


def add_folder(to: argparse.ArgumentParser) -> None:
    """Adds --from."""
    default = str(default_output_dir())
    to.add_argument(
        "--from", dest="folder", metavar="DIR", default=default, help=f"records (default {default})"
    )


def add_store(to: argparse.ArgumentParser) -> None:
    """Adds --from and --tracking-uri."""
    add_folder(to)
    to.add_argument("--tracking-uri", metavar="URI", help="an MLflow server or database")


AUDIT = "an audit instead: its id or the beginning of it, or audit.json"


def add_audit(to: argparse.ArgumentParser) -> None:
    """Adds --audit."""
    to.add_argument("--audit", metavar="RECORD", help=AUDIT)


def add_audits(to: argparse.ArgumentParser) -> None:
    """Adds --audit, which may be repeated."""
    to.add_argument(
        "--audit", metavar="RECORD", action="append", help=f"{AUDIT}; several stand side by side"
    )


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
