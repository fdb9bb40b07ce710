"""Addresses of tracking: a database in a file, a database server, an MLflow server."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from trustbench.errors import ConfigError, UserError
from trustbench.store.redaction import shown

_SERVERS = re.compile(r"(https?|databricks(-uc)?|(postgresql|mysql|mssql)(\+\w+)?)://", re.I)
_FILES = re.compile(r"sqlite(\+pysqlite)?:///")
_WANTED = (
    "give null (a database in output_dir), sqlite:///FILE, or the address of an MLflow server: "
    "http://HOST:PORT"
)


def of_file(path: Path) -> str:
    """The address of the database in a file, of any name.

    >>> of_file(Path("/data/out/mlflow.db"))
    'sqlite:////data/out/mlflow.db'
    >>> of_file(Path("/data/a?b/mlflow.db"))
    'sqlite+pysqlite:////data/a%3Fb/mlflow.db'
    """
    from sqlalchemy.engine import URL

    # MLflow makes the folder that it reads after `sqlite:///`, which is another one if it is quoted
    plain, quoted = (
        URL.create(driver, database=str(path)).render_as_string(hide_password=False)
        for driver in ("sqlite", "sqlite+pysqlite")
    )
    found = plain if plain == f"sqlite:///{path}" else quoted
    if file_of(found) != path:  # SQLAlchemy before 2.1 quotes no file names
        raise ConfigError(
            f"a tracking database in the folder {path.parent} needs SQLAlchemy 2.1 or later, "
            "because of its name; install that, or give another output_dir."
        )
    return found


def text_named(folder: Path) -> Path:
    """The folder, whose name is text that records, logs and addresses can hold.

    Raises:
        UserError: it is other than UTF-8, or has line feeds or control characters.
    """
    if not str(folder).isprintable():
        raise UserError(
            f"the folder {str(folder)!r} has a name with line feeds, control characters or other "
            "than UTF-8 text; give another."
        )
    return folder


def file_of(address: str) -> Path | None:
    """The file of a database; None for the address of a server."""
    from sqlalchemy.engine import make_url

    if not in_file(address):
        return None
    return Path(make_url(address).database or "")


def in_file(address: str) -> bool:
    """Whether an address is that of a database in a file."""
    return address.startswith("sqlite")


def checked(address: str, key: str) -> str:
    """The address that a user gives as `key`, with the whole path of a file.

    Raises:
        ConfigError: it is not an address of tracking. The sentence shows nothing secret.
    """
    if _FILES.match(address):
        return of_file(_file(address, key))
    if address in ("databricks", "databricks-uc"):
        return address
    if not _SERVERS.match(address) or not address.isprintable():
        raise ConfigError(f"{key} is {shown(address)!r}; {_WANTED}.")
    try:
        port = urlsplit(address).port
    except ValueError as error:
        raise ConfigError(
            f"{key} is {shown(address)!r}, whose host or port cannot be read; a port is a number "
            "from 1 to 65535, and / ? # @ in a password are written %2F %3F %23 %40."
        ) from error
    if port == 0:
        raise ConfigError(f"{key} is {shown(address)!r}; a port is a number from 1 to 65535.")
    return address


def _file(address: str, key: str) -> Path:
    path, mark, _ = address.partition("?")
    if mark:
        raise ConfigError(
            f"{key} is {shown(path)!r} with a ? behind it, which ends the name of a file; write "
            "%3F for a ? in the name."
        )
    found = file_of(address)
    if found is None or not found.name or str(found) == ":memory:":
        raise ConfigError(f"{key} is {shown(address)!r}, which names no file; {_WANTED}.")
    if not str(found).isprintable():
        raise ConfigError(f"{key} names a file with control characters; give another.")
    return found.absolute()
