"""`trustbench data`: lists, downloads and checks the files of the datasets, and a user's table."""

import os
from collections.abc import Sequence
from pathlib import Path

from trustbench.api import dataset_files as sources
from trustbench.api.dataset_files import DataState
from trustbench.api.table_checks import check_table
from trustbench.commands.parsing import add_config_dir, parser
from trustbench.config.compose import conf_dirs
from trustbench.config.plugins import describe, discover
from trustbench.errors import UserError
from trustbench.summary.render.escaping import visible

ACTIONS = ("list", "fetch", "check")
GOOD = ("present", sources.EMBEDDED, sources.OWN)


def main(args: Sequence[str]) -> int:
    """Returns 0 on success; for `check`, 1 if a file is missing or differs."""
    p = parser("data", "The files of the datasets: list them all, download or check one.")
    p.add_argument("action", choices=ACTIONS)
    p.add_argument(
        "name", nargs="*", help="a dataset; for check also dataset=table dataset.path=FILE ..."
    )
    default = os.environ.get("TRUSTBENCH_DATA", "data")
    p.add_argument("--data-dir", metavar="DIR", default=default, help=f"default {default}")
    p.add_argument("--mirror", metavar="URL", help="fetch: another address with the same files")
    p.add_argument(
        "--schema", metavar="FILE", help="check of a table: where to write what was understood"
    )
    p.add_argument("--plugins", metavar="MODULE", nargs="*", default=[], help="as the key plugins")
    add_config_dir(p)
    given = p.parse_args(args)
    dirs = conf_dirs(given.config_dir)
    if given.action == "check" and any("=" in word for word in given.name):
        options = ["--config-dir", given.config_dir] if given.config_dir else []
        return _check_table([*options, *given.name], given.schema)
    if len(given.name) != (given.action != "list"):
        many = "takes no name" if given.action == "list" else "needs the name of one dataset"
        raise UserError(f"data {given.action} {many}; see `trustbench data --help`.")
    (given.name,) = given.name or [None]
    known = sources.datasets(dirs, given.plugins)
    folder = Path(given.data_dir).expanduser().absolute()
    if given.action == "fetch":
        paths = sources.fetch(given.name, folder, known, given.mirror)
        print("\n".join(map(str, paths)) or f"{given.name} needs no files.")  # noqa: T201
        return 0
    if given.action == "check":
        state = sources.check(given.name, folder, known)
        _print(state, "")
        return 0 if state.state in GOOD else 1
    about = discover("dataset", dirs)
    for state in sources.list_data(folder, known):
        _print(state, describe(about[state.name]))
    return 0


def _check_table(args: Sequence[str], schema: str | None) -> int:
    """Prints what is understood of a table, and writes it as YAML; returns 0."""
    found = check_table(args)
    for line in found.lines:
        print(visible(line))  # noqa: T201
    path = Path(schema) if schema else Path(f"{Path(str(found.schema['path'])).stem}.schema.yaml")
    found.write(path)
    print(f"\nwritten: {visible(str(path))}; run with dataset=table dataset.schema={path}")  # noqa: T201
    return 0


def _print(state: DataState, about: str) -> None:
    print(f"{state.name:<14} {state.state:<11} {about}".rstrip())  # noqa: T201
    for file in state.files:
        print(f"    {file.path}: {file.state}")  # noqa: T201
