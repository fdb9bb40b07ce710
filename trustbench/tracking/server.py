"""A tracking address: connecting, sending requests, and the meaning of its errors."""

import logging
import os
import re
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from trustbench.contracts.shortening import shorten
from trustbench.errors import FAILURES, StorageError, TrustbenchError
from trustbench.store import redaction
from trustbench.store.addresses import checked, in_file, of_file
from trustbench.store.files import write_own
from trustbench.store.records import Store
from trustbench.store.redaction import conceal, redact
from trustbench.tracking.transport import ask_uncompressed, bounded, exceeded

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

RESTART_S = 120.0
"""How long to wait for a server that stops answering; a restart takes 10 s, 60 s when busy."""
PROBE_S = 3.0
LONGEST = 300
"""Maximum length of a reason in a warning, in characters."""
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # one request; retries are decided here
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}
_STATUS = re.compile(r"too many (\d{3}) error responses")
_NOT_NOW = ("429", "502", "503", "504")
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


class TrackingError(TrustbenchError):
    """The tracking server is unreachable or refuses; the record on disk is not affected.

    `repeated` says that it was silent before in this run, which was reported.
    """

    def __init__(self, text: str, *, repeated: bool = False) -> None:
        super().__init__(text)
        self.repeated = repeated


def resolve(store: Store, uri: str | None) -> str:
    """Returns an absolute tracking address; None means a database below the store."""
    conceal(uri)
    return of_file(store.tracking_db) if uri is None else checked(uri, "the tracking address")


def shown(store: Store, uri: str | None) -> str:
    """Returns a tracking address without credentials, for display."""
    return redaction.shown(resolve(store, uri))


def is_own_database(store: Store, uri: str | None) -> bool:
    """Whether an address is the store's own database, which holds nothing that the store lacks."""
    return resolve(store, uri) == resolve(store, None)


class TrackingServer:
    """The server behind a store's tracking address.

    A `patient` caller, or one that has had an answer, waits up to RESTART_S for a server that stops
    answering. A server that stays silent leaves a marker in the store, and no arm waits for it
    again until it answers: an arm loses seconds to it, and a sweep does not lose hours.
    """

    def __init__(self, store: Store, uri: str | None, *, patient: bool = False) -> None:
        self.store = store
        self.address = resolve(store, uri)
        self.patient = patient
        self.reached = False

    @property
    def remote(self) -> bool:
        """Whether it stores artifacts itself; a database has them in the store."""
        return self.address.startswith(("http://", "https://"))

    def ask(self, question: Callable[["MlflowClient"], T]) -> T:
        """Returns the answer of an MLflow client; retries while the server restarts.

        `question` must therefore be safe to send twice.

        Raises:
            TrackingError: no answer in time, or a refusal.
        """
        waited_since, pause = time.monotonic(), 0.5
        while True:
            try:
                if not self.reached:
                    self._probe()
                with bounded(remote=self.remote):
                    answer = question(client(self.address))
            except (*known_errors(), *unreadable_answers()) as error:
                self._refuse_ours(error)
                passing = self._passes(error)
                patience = RESTART_S if passing and self._waits() else 0.0
                if time.monotonic() + pause > waited_since + patience:
                    raise self._failure(error, silent=passing) from error
                self.reached = False
                time.sleep(pause)
                pause = min(2 * pause, 5.0)
            else:
                self._answered()
                return answer

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Calls a method of MLflow's client that is safe to call twice."""
        return self.ask(lambda c: getattr(c, method)(*args, **options))

    def _refuse_ours(self, error: BaseException) -> None:
        """Raises an error again that comes from us, not from a server."""
        if not isinstance(error, known_errors()) and not (self.remote and in_mlflow(error)):
            raise error

    def _answered(self) -> None:
        if not self.reached:
            self.reached = self.patient = True
            self.store.tracking_silent.unlink(missing_ok=True)

    def _waits(self) -> bool:
        return self.patient and not self.store.tracking_silent.exists()

    def _failure(self, error: BaseException, *, silent: bool) -> TrackingError:
        mark = self.store.tracking_silent
        repeated = silent and mark.exists()
        if silent and self.store.root.is_dir():
            with suppress(OSError):  # full disk: the next arm waits once more without success
                mark.touch()
        text = f"tracking at {redaction.shown(self.address)} failed: {self._reason(error)}."
        return TrackingError(text, repeated=repeated)

    def _reason(self, error: BaseException) -> str:
        """The reason in one line; the full text of a long one is kept in the store."""
        text, path = reason(error, self.address), self.store.tracking_error
        if len(text) <= LONGEST or not self.store.root.is_dir():
            return text
        try:
            write_own(path, f"{redact(str(error), self.address).strip()}\n".encode())
        except StorageError:  # full disk: the reason is reported here or not at all
            return text
        return shorten(text, LONGEST, str(path))

    def _passes(self, error: BaseException) -> bool:
        """Whether the problem may be temporary: no answer, or the answer `not now`."""
        if in_file(self.address):
            return "database is locked" in str(error)
        chain = list(_chain(error))
        return not exceeded(str(error), chain) and any(_passing(e) for e in chain)

    def _probe(self) -> None:
        """Notices within seconds that nothing listens; MLflow would retry for minutes."""
        from requests.utils import get_environ_proxies

        if in_file(self.address):
            return
        where = urlsplit(self.address)
        port = where.port or _PORTS.get(where.scheme.split("+")[0])
        proxy = self.remote and get_environ_proxies(self.address)
        if where.hostname and port and not proxy:
            with socket.create_connection((where.hostname, port), PROBE_S):
                pass
        if port and not self.remote:
            _connect(self.address)


def _connect(address: str) -> None:
    """Connects to a database once; MLflow retries a wrong password for two minutes."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.pool.NullPool)
    with engine.connect():
        pass


@lru_cache(maxsize=8)
def client(address: str) -> "MlflowClient":
    """Returns MLflow's client for an address, silent on screen and on the network."""
    with quiet():
        from mlflow import MlflowClient

        # errors are reported here, in one sentence and without credentials
        for name in ("mlflow", "alembic", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        ask_uncompressed()
        return MlflowClient(tracking_uri=address)


@contextmanager
def quiet() -> Iterator[None]:
    """Imports mlflow with its settings in place."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    # it prints the address as it is, with the password
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    with warnings.catch_warnings():
        # mlflow imports deprecated features of its own dependencies
        warnings.simplefilter("ignore", DeprecationWarning)
        # and reports the type hints of its own classes
        warnings.simplefilter("ignore", UserWarning)
        yield


@lru_cache(maxsize=1)
def known_errors() -> tuple[type[BaseException], ...]:
    """Errors of a server, its database, its driver or its artifact store."""
    import requests
    from sqlalchemy.exc import SQLAlchemyError

    with quiet():
        from mlflow.exceptions import MlflowException
    return SQLAlchemyError, requests.RequestException, OSError, ImportError, MlflowException


@lru_cache(maxsize=1)
def unreadable_answers() -> tuple[type[BaseException], ...]:
    """What MLflow's client raises on an answer that is not one of MLflow's."""
    from google.protobuf import json_format, message

    return (*FAILURES, json_format.Error, message.Error)


def reason(error: BaseException, address: str = "") -> str:
    """An error in words, without the credentials of `address`."""
    text = str(error).strip() or type(error).__name__
    unbounded = exceeded(text, _chain(error))
    if unbounded:
        return unbounded
    if isinstance(error, unreadable_answers()) and not isinstance(error, known_errors()):
        return "it answers with something that is not an answer of MLflow's"
    status = _STATUS.search(text)
    if status:
        return f"the server answers with error {status.group(1)}"
    if isinstance(error, ModuleNotFoundError):
        return f"its driver is missing ({error}); pip install 'trustbench[server]'"
    chain = list(_chain(error))
    if any(isinstance(e, socket.gaierror) for e in chain):
        return "its host is not known here"
    if any(_silent(e) for e in chain):
        return "the server does not answer"
    return redact(text.splitlines()[0], address).rstrip(" .")


def _passing(error: BaseException) -> bool:
    from mlflow.exceptions import MlflowException

    status = _STATUS.search(str(error))
    if status:
        return status.group(1) in _NOT_NOW
    if isinstance(error, MlflowException):
        return bool(error.error_code == "TEMPORARILY_UNAVAILABLE")
    return _silent(error)


def _silent(error: BaseException) -> bool:
    """Whether the error means that nothing answers. A broken certificate is an answer."""
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return False
    network = (requests.ConnectionError, requests.Timeout)
    return isinstance(error, (*network, ConnectionError, TimeoutError, socket.gaierror))


def in_mlflow(error: BaseException) -> bool:
    """Whether code of MLflow's client, or below it, raised an error."""
    trace, inside = error.__traceback__, False
    while trace is not None:
        inside = inside or trace.tb_frame.f_globals.get("__name__", "").startswith("mlflow.")
        trace = trace.tb_next
    return inside


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, its causes and its contexts."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
