"""What is asked again and for how long, what is a refusal, and what nobody may read."""

import socket
import threading
import time
from base64 import b64encode
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
import requests
from mlflow.exceptions import MlflowException, RestException
from sqlalchemy.exc import OperationalError

from tests.unit.tracking.test_tracking import make_record
from trustbench import tracking
from trustbench.commands import cli
from trustbench.errors import StorageError
from trustbench.store.records import Store
from trustbench.tracking import server, upload

UNSAID = "s3cr3t/p@ss"
LOCKED = MlflowException("(sqlite3.OperationalError) database is locked")
FULL = OperationalError("insert", {}, Exception("database or disk is full"))


def status(code):
    inner = requests.exceptions.RetryError(f"Max retries (too many {code} error responses)")
    error = MlflowException(f"API request to http://h/api failed with exception {inner}")
    error.__context__ = inner
    return error


def silence():
    error = MlflowException("API request failed: HTTPConnectionPool(host='h', port=1)")
    error.__context__ = requests.exceptions.ConnectTimeout("no answer")
    return error


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where the code sleeps."""
    now = [0.0]
    monkeypatch.setattr(server, "client", lambda address: address)
    monkeypatch.setattr(server.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(server.time, "sleep", lambda s: now.__setitem__(0, now[0] + s))
    return now


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def asked(store, clock, errors, uri="http://h:1", *, patient=True):
    """The answer, and how many seconds it took, of a server that first raises `errors`."""
    made = server.TrackingServer(store, uri, patient=patient)
    made._probe = lambda: None
    left = list(errors)

    def question(_):
        if left:
            raise left.pop(0)
        return "answer"

    start = clock[0]
    return made.ask(question), clock[0] - start


@pytest.mark.parametrize("error", [silence(), status(503), status(502), status(504), status(429)])
def test_a_server_that_restarts_is_waited_for(store, clock, error):
    answer, took = asked(store, clock, [error] * 8)
    assert answer == "answer"
    assert 20 < took < server.RESTART_S


def test_a_database_that_another_process_writes_is_waited_for(store, clock):
    assert asked(store, clock, [LOCKED] * 3, uri=None)[0] == "answer"


@pytest.mark.parametrize(
    ("error", "uri", "said"),
    [
        (status(500), "http://h:1", "answers with error 500"),
        (RestException({"error_code": "PERMISSION_DENIED", "message": "no"}), "http://h", "no"),
        (RestException({"error_code": "INVALID_PARAMETER_VALUE", "message": "x"}), "http://h", "x"),
        (requests.exceptions.SSLError("certificate expired"), "https://h", "certificate expired"),
        (FULL, None, "disk is full"),
        (
            ModuleNotFoundError("No module named 'psycopg2'"),
            "postgresql://h/d",
            "trustbench.server",
        ),
    ],
)
def test_a_refusal_is_told_at_once(store, clock, error, uri, said):
    with pytest.raises(tracking.TrackingError, match=said):
        asked(store, clock, [error] * 99, uri)
    assert clock[0] == 0
    assert not store.tracking_silent.exists()


def test_nobody_waits_again_for_a_server_that_stayed_silent(store, clock):
    with pytest.raises(tracking.TrackingError, match="does not answer") as first:
        asked(store, clock, [silence()] * 99)
    assert server.RESTART_S - 6 < clock[0] <= server.RESTART_S
    assert not first.value.repeated
    before = clock[0]
    with pytest.raises(tracking.TrackingError, match="does not answer") as second:
        asked(store, clock, [silence()] * 99)
    assert clock[0] == before
    assert second.value.repeated
    assert asked(store, clock, [])[0] == "answer"
    assert not store.tracking_silent.exists(), "it answers again"
    assert asked(store, clock, [silence()] * 3)[1] > 0, "and is waited for again"


LONG = "The address is wrong. " + "It names a profile that does not exist in any file. " * 12


def test_a_long_reason_is_cut_between_words_and_kept_whole(store, clock):
    with pytest.raises(tracking.TrackingError) as caught:
        asked(store, clock, [MlflowException(f"{LONG}\nSee http://x/")], "databricks")
    told = str(caught.value).removeprefix("tracking at databricks failed: ").removesuffix(".")
    shown, mark = told.split(" ... ")
    assert LONG.startswith(shown)
    assert shown.endswith("in any file.")
    assert len(told) <= server.LONGEST
    assert mark == f"(the whole text is in {store.tracking_error})"
    assert store.tracking_error.read_text().startswith(f"{LONG}\nSee http://x/")


def test_a_long_reason_that_cannot_be_kept_is_told_whole(tmp_path, clock, monkeypatch):
    nowhere = Store(tmp_path / "not there yet")
    with pytest.raises(tracking.TrackingError, match=r"does not exist in any file\.$"):
        asked(nowhere, clock, [MlflowException(LONG)], "databricks")
    assert not nowhere.root.exists()

    def full(*_):
        raise StorageError("the disk is full")

    monkeypatch.setattr("trustbench.tracking.server.write_own", full)
    with pytest.raises(tracking.TrackingError, match=r"does not exist in any file\.$"):
        asked(Store(tmp_path), clock, [MlflowException(LONG)], "databricks")


def test_who_only_looks_does_not_wait(store, clock):
    with pytest.raises(tracking.TrackingError):
        asked(store, clock, [silence()] * 99, patient=False)
    assert clock[0] == 0


def test_a_bug_of_ours_is_no_error_of_the_server(store, clock):
    with pytest.raises(ZeroDivisionError):
        asked(store, clock, [ZeroDivisionError()])


def test_a_run_whose_creation_was_answered_into_the_void_is_made_once(store, clock):
    """The request arrived, the answer did not: the next try finds the run."""

    class Client:
        def __init__(self):
            self.runs = []

        def create_run(self, where, start_time, tags, run_name):
            self.runs.append(tags)
            raise silence()

        def search_runs(self, where, wanted, max_results):
            value = wanted.split("'")[1]
            found = [t for t in self.runs if t[upload.UPLOAD] == value]
            info = type("Info", (), {"run_id": "run"})
            return [type("Run", (), {"info": info}) for _ in found]

    client, made = Client(), server.TrackingServer(store, "http://h", patient=True)
    made._probe = lambda: None
    made.ask = lambda question: server.TrackingServer.ask(made, lambda _: question(client))
    assert upload.create_run(made, "0", "name", {}) == "run"
    assert len(client.runs) == 1


def test_a_port_where_nobody_listens_costs_no_time(store):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
    start = time.monotonic()
    with pytest.raises(tracking.TrackingError, match="the server does not answer"):
        tracking.prepare(store, uri, "exp")
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_no_error_shows_credentials(store, scheme, capfd, caplog):
    """Neither of a closed port nor of one that talks nonsense."""
    quoted = UNSAID.replace("/", "%2F").replace("@", "%40")
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]
        threading.Thread(target=_nonsense, args=(listening,), daemon=True).start()
        for where in (f"127.0.0.1:{port}", "127.0.0.1:9", "no.such.host.invalid:1"):
            uri = f"{scheme}://ann:{quoted}@{where}/db"
            for call in (
                lambda uri=uri: tracking.prepare(store, uri, "exp"),
                lambda uri=uri: tracking.log_record(store, uri, "exp", make_record()),
                lambda uri=uri: list(tracking.fetch_records(store, uri)),
                lambda uri=uri: tracking.unfinished(store, uri),
            ):
                with pytest.raises(tracking.TrackingError) as caught:
                    call()
                text = str(caught.value)
                assert "***@" in text
                assert not any(s in text for s in (UNSAID, quoted, "s3cr3t", "p@ss", "ann:"))
    said = capfd.readouterr()
    assert "s3cr3t" not in said.out + said.err + caplog.text


def _nonsense(listening):
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with closing(connection):
                connection.recv(10)
                connection.sendall(b"this is not a protocol\r\n\r\n")


@pytest.mark.parametrize(
    "args",
    [
        ["run", "--cfg", "job", "tracking_uri=http://ann:s3cr3t@host"],
        ["run", "-cjob", "tracking_uri=http://ann:s3cr3t@host"],
        ["run", "--info", "defaults", "tracking_uri=http://ann:s3cr3t@host"],
        ["run", "tracking_uri=htp://ann:s3cr3t@host"],
        ["run", "tracking_uri=ann:s3cr3t@host"],
        [
            "run",
            "--cfg",
            "job",
            "tracking_uri='http://a:it s3cr3t \"x@host/?sig=s3cr3t#s3cr3t'",
        ],
        ["run", "--cfg", "job", "tracking_uri=databricks://s3cr3t"],
        ["run", "tracking_uri=postgresql:ann:s3cr3t@host/db"],
        ["run", "tracking_uri=http://ann:s3cr3t@host:99999"],
        ["plan", "tracking_uri='http://host:port/?auth=s3cr3t'"],
        ["run", "tracking_uri=http://ann:s3cr3t(@host"],
        ["run", "tracking_urj=http://ann:s3cr3t@host"],
        ["plan", "tracking_uri=http://ann:s3cr3t@host", "seed=-1"],
        ["summarize", "--tracking-uri", "http://ann:s3cr3t@127.0.0.1:9"],
        ["sync", "--from", ".", "--tracking-uri", "mysql://ann:s3cr3t@127.0.0.1:9/x"],
    ],
)
def test_no_command_shows_credentials(args, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = cli.main(args)
    said = capfd.readouterr()
    prints = args[1] in ("--cfg", "-cjob", "--info")
    asks_the_server = args[0] in ("summarize", "sync")
    assert code == (0 if prints else 1 if asks_the_server else 2)
    assert said.out + said.err
    assert "s3cr3t" not in said.out + said.err


class _Login(BaseHTTPRequestHandler):
    """A server that lets nobody in, and keeps what it was asked with."""

    asked: ClassVar[list] = []

    def do_GET(self):
        self.asked.append(self.headers["Authorization"])
        self.send_error(401, "who are you")

    def do_POST(self):  # what MLflow asks with a body
        self.do_GET()

    def log_message(self, *_):
        pass


def test_the_environment_s_credentials_reach_the_server_and_nobody_else(store, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", UNSAID)
    with HTTPServer(("127.0.0.1", 0), _Login) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        with pytest.raises(tracking.TrackingError, match="401") as caught:
            tracking.prepare(store, f"http://127.0.0.1:{listening.server_port}", "exp")
        listening.shutdown()
    assert _Login.asked[0] == "Basic " + b64encode(f"ann:{UNSAID}".encode()).decode()
    said = capfd.readouterr()
    assert UNSAID not in str(caught.value) + said.out + said.err
