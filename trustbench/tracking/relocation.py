"""A store that was copied or moved: its database names the artifacts of the place it came from."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trustbench.store.records import Store

# what of MLflow's tables says where artifacts lie
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def relocate(store: Store, database: Path) -> str | None:
    """Points every artifact of the store's own database into the store.

    Uploads would otherwise go into the folder from which the store was copied, and make it again
    where it was moved. Only addresses that end like the store's own folder of artifacts change; a
    location that somebody chose elsewhere stays. Returns what was changed, as a sentence; None if
    nothing was.

    Raises:
        sqlite3.Error: the database cannot be read or written.
    """
    own = store.tracking_artifacts
    with closing(sqlite3.connect(database)) as connection, connection:
        columns = [(t, c) for t, c in _COLUMNS if c in _names(connection, t)]
        foreign = sorted(
            {
                root
                for table, column in columns
                for (address,) in connection.execute(f"select distinct {column} from {table}")
                if (root := _foreign(address, own)) is not None
            }
        )
        for root in foreign:
            for table, column in columns:
                connection.execute(
                    f"update {table} set {column} = ? || substr({column}, ?) "
                    f"where {column} = ? or substr({column}, 1, ?) = ?",
                    (own.as_uri(), len(root) + 1, root, len(root) + 1, f"{root}/"),
                )
    if not foreign:
        return None
    return (
        f"{database} came from another folder, {_path(foreign[0]).parent}; its artifacts are now "
        f"read and written in {own}."
    )


def _names(connection: sqlite3.Connection, table: str) -> set[str]:
    return {str(row[1]) for row in connection.execute(f"pragma table_info({table})")}


def _foreign(address: str | None, own: Path) -> str | None:
    """The beginning of an address that is another store's folder of artifacts, or None."""
    if not address or not address.startswith("file:"):
        return None
    head, found, _ = f"{address}/".rpartition(f"/{own.name}/")
    root = f"{head}/{own.name}"
    if not found or root == own.as_uri() or _same(_path(root), own):
        return None
    return root


def _path(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))


def _same(one: Path, other: Path) -> bool:
    """Whether two names, such as one over a link, are of one folder."""
    return one.exists() and other.exists() and one.samefile(other)
