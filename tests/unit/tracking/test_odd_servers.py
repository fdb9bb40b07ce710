"""A server decides neither where this process writes, nor how long it waits, nor what it holds."""

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.summary.builder import record
from tests.unit.tracking.odd_server import RUN, honest, serving
from trustbench import tracking
from trustbench.store.records import Store
from trustbench.tracking import artifacts, transport


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return Store(folder)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


LOCAL = ["file://{}", "{}", "FILE://{}", "file://localhost{}", "runs:/r1/x", "models:/m/1", "x:{}"]


@pytest.mark.parametrize("kind", LOCAL)
def test_a_server_does_not_choose_a_folder_of_this_machine(kind, store, tmp_path):
    """An honest server with a plain artifact root loses what is sent; another one reaches it."""
    theirs = tmp_path / "theirs"
    before = sorted(tmp_path.iterdir())
    with serving(honest(kind.format(theirs))) as uri:
        for call in (
            lambda: tracking.log_record(store, uri, "exp", record(ident="0" * 16)),
            lambda: artifacts.of_run(tracking.server.TrackingServer(store, uri), "r1"),
        ):
            with pytest.raises(tracking.TrackingError) as refused:
                call()
            for setting in ("--serve-artifacts", "--default-artifact-root mlflow-artifacts:"):
                assert setting in str(refused.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("scheme", artifacts.REMOTE)
def test_where_a_server_may_keep_files(scheme):
    artifacts.refuse_local("http://host", f"{scheme}://bucket/1")
    artifacts.refuse_local("sqlite:////tmp/x.db", "/tmp/artifacts")


def dripping(path, handler):
    handler.send_response(200)
    handler.end_headers()
    handler.drip()


def dripping_headers(path, handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-A: ")
    handler.drip(b"a")


def dripping_error(path, handler):
    handler.send_response(503)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.drip()


def endless(path, handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 2**20)


def compressed(path, handler):
    assert handler.headers["Accept-Encoding"] == "identity"
    handler.send(b"\x1f\x8b", Content_Encoding="gzip")


ODD = {
    dripping: "its answer does not come to an end",
    dripping_headers: "its answer does not come to an end",
    dripping_error: "the server answers with error 503",
    endless: "an answer is longer than 256 MB",
    compressed: "it compresses answers though it was asked not to",
}


@pytest.mark.parametrize("answer", ODD, ids=lambda a: a.__name__)
def test_size_and_time_of_an_answer_are_bounded(answer, store, monkeypatch):
    monkeypatch.setattr(transport, "LONGEST_MB", 4)
    began = time.monotonic()
    with serving(answer) as uri, pytest.raises(tracking.TrackingError) as refused:
        list(tracking.fetch_records(store, uri))
    assert ODD[answer] in str(refused.value)
    assert time.monotonic() - began < 20


def test_the_bounds_are_lifted_once_the_server_has_answered(store):
    from urllib3.connection import HTTPConnection

    before = HTTPConnection.response_class
    with serving(honest("mlflow-artifacts:/1")) as uri:
        assert list(tracking.fetch_records(store, uri)) == []
    assert HTTPConnection.response_class is before


def test_a_list_without_end_is_left(store, monkeypatch):
    monkeypatch.setattr("trustbench.tracking.runs.MOST_PAGES", 5)

    def answer(path, handler):
        return {"experiments": [], "runs": [], "next_page_token": "again"}

    with serving(answer) as uri, pytest.raises(tracking.TrackingError, match="more than 5 pages"):
        list(tracking.fetch_records(store, uri))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["experiments", "runs", "info", "data", "tags", "key",
                                       "value", "run_id", "files", "path", "a"]), inner,
                      max_size=4),
    max_leaves=8,
)  # fmt: skip
BODIES = st.one_of(
    values.map(lambda v: json.dumps(v).encode()),
    st.binary(max_size=30),
    st.sampled_from([b"[" * 200_000, b"9" * 6_000, b"", b"{", b'{"experiments": [[]]}']),
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(BODIES, st.sampled_from([200, 200, 200, 404, 500, 302, 204]))
def test_whatever_a_server_answers_is_no_traceback(store, body, status):
    def answer(path, handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with serving(answer) as uri:
        for call in (
            lambda: list(tracking.fetch_records(store, uri)),
            lambda: tracking.unfinished(store, uri),
            lambda: tracking.prepare(store, uri, "exp"),
        ):
            said = ""
            try:
                call()
            except tracking.TrackingError as told:
                said = str(told)
            assert "\n" not in said
            assert len(said) < 500


def test_files_of_runs_go_only_where_the_server_s_answer_was_checked():
    """MLflow's own calls ask the server again, which may answer otherwise."""
    calls = re.compile(r'"(log_artifacts?|log_text|log_dict|download_artifacts|list_artifacts)"')
    for path in Path(tracking.__file__).parent.glob("*.py"):
        assert not calls.search(path.read_text()), path.name


def test_a_server_s_list_of_files_leads_out_of_no_folder(store, tmp_path):
    def answer(path, handler):
        if "mlflow-artifacts" in handler.path and handler.command == "GET":
            if handler.path.partition("?")[2]:
                return {"files": [{"path": "../../../evil.json", "is_dir": False}]}
            return {"anything": 1}
        if path == "runs/search":
            return {"runs": [{"info": {**RUN["info"], "artifact_uri": "mlflow-artifacts:/1"}}]}
        return honest("mlflow-artifacts:/1")(path, handler)

    before = sorted(tmp_path.rglob("*"))
    with serving(answer) as uri, pytest.raises(tracking.TrackingError):
        tracking.fetch_sweep(store, uri, "exp")
    assert sorted(p for p in tmp_path.rglob("*") if p.name != "tracking-error.txt") == before
