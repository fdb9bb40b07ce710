"""The files of a run: where a server keeps them, and which of its answers to that are refused."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from trustbench.store.redaction import shown
from trustbench.tracking.server import TrackingError, TrackingServer

REMOTE = (
    "mlflow-artifacts", "http", "https", "s3", "r2", "b2", "gs", "wasbs", "abfss", "dbfs", "hdfs",
    "viewfs", "ftp", "sftp",
)  # fmt: skip
"""Where a server may tell its clients to keep files; anything else is on this machine."""
RESOLVED = ("runs", "models")
"""What MLflow asks the server about, before it opens anything."""
DEEPEST = 2
"""How many of these may lead to each other: a run names a model, and that a place."""


@dataclass(frozen=True)
class RunFiles:
    """The files of one run; the server was asked once where they are."""

    server: TrackingServer
    address: str
    kept: Any
    """MLflow's access to them."""

    def put(self, path: Path, folder: str | None = None) -> None:
        """Uploads a file."""
        self.server.ask(lambda _: self.kept.log_artifact(str(path), folder))

    def put_text(self, name: str, text: str | bytes) -> None:
        """Uploads a text as the file `name`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / PurePosixPath(name).name
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            parent = str(PurePosixPath(name).parent)
            self.put(path, None if parent == "." else parent)

    def put_folder(self, path: Path, folder: str) -> None:
        """Uploads what a folder holds."""
        self.server.ask(lambda _: self.kept.log_artifacts(str(path), folder))

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder of the run, sorted."""
        found = self.server.ask(lambda _: self.kept.list_artifacts(folder))
        return sorted(PurePosixPath(each.path).name for each in found if not each.is_dir)

    def get(self, name: str, folder: Path) -> Path:
        """Downloads one file into `folder`, whatever else the server offers."""
        path = folder / PurePosixPath(name).name
        # `download_artifacts` asks first whether it is a folder, and fetches all that one lists
        self.server.ask(lambda _: self.kept._download_file(name, str(path)))
        return path


def of_run(server: TrackingServer, run_id: str) -> RunFiles:
    """The files of a run.

    Raises:
        TrackingError: the server keeps them in a folder, which it can only mean on its own machine.
    """
    address = str(server.call("get_run", run_id).info.artifact_uri)
    refuse_local(server.address, address)

    def opened(_: object) -> Any:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
        from mlflow.utils import uri

        complete: Any = uri.add_databricks_profile_info_to_artifact_uri
        full = complete(address, server.address)
        return get_artifact_repository(full, tracking_uri=server.address)

    return RunFiles(server, address, server.ask(opened))


@contextmanager
def local_refused(server: str) -> Iterator[None]:
    """Inside the block MLflow opens no folder of this machine that an HTTP server names.

    MLflow resolves `runs:/` and `models:/` itself, in several requests, and passes over errors of
    some; so the first refusal is raised at the end of the block.

    Raises:
        TrackingError: it was asked to.
    """
    from mlflow.store.artifact import artifact_repository_registry

    known: Any = artifact_repository_registry.ArtifactRepositoryRegistry
    before = known.get_artifact_repository
    refusals: list[TrackingError] = []
    opening: list[str] = []

    def opened(self: Any, artifact_uri: str, *args: Any, **kwargs: Any) -> Any:
        try:
            _refuse_nested(server, artifact_uri, opening)
        except TrackingError as error:
            refusals.append(error)
            raise
        opening.append(artifact_uri)
        try:
            return before(self, artifact_uri, *args, **kwargs)
        finally:
            opening.pop()

    known.get_artifact_repository = opened
    try:
        yield
    finally:
        known.get_artifact_repository = before
        if refusals:
            raise refusals[0]


def _refuse_nested(server: str, address: str, opening: Sequence[str]) -> None:
    """Raises TrackingError for a folder, and for addresses that lead to each other."""
    resolved = urlsplit(address).scheme.lower() in RESOLVED
    if not resolved or len(opening) >= DEEPEST:
        refuse_local(server, address)


def refuse_local(server: str, artifacts: str) -> None:
    """Raises TrackingError if a server over HTTP names a folder: it would be one of this machine.

    An honest server with this setting loses every artifact, and another one chooses where this
    process writes.
    """
    if not server.startswith(("http://", "https://")):
        return
    if urlsplit(artifacts).scheme.lower() not in REMOTE:
        raise TrackingError(
            f"tracking at {shown(server)} failed: it keeps artifacts at {shown(artifacts)!r}, a "
            "folder that only the server can reach; start it with --serve-artifacts and "
            "--default-artifact-root mlflow-artifacts:/, and give a new experiment."
        )
