"""A model behind an HTTP address, on a loopback server that answers well, badly, late or never."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from trustbench.contracts.given import ModelSource
from trustbench.errors import ConfigError, UserError
from trustbench.models.given import http
from trustbench.models.given.opening import open_model

ROWS = pd.DataFrame({"age": [20.0, np.nan, 60.0], "job": ["clerk", None, "nurse"]})
CLASSES = ("no", "yes")


class Server(ThreadingHTTPServer):
    """Hands each request to `answer`, (body, request number) -> (status, bytes, headers)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = None
        self.bodies, self.headers = [], []

    @property
    def url(self):
        return f"http://user:secret@127.0.0.1:{self.server_port}/invocations?key=hidden"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self.server.headers.append(dict(self.headers))
        status, content, headers = self.server.answer(body, len(self.server.bodies))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def pauses(monkeypatch):
    slept = []
    monkeypatch.setattr(http.time, "sleep", slept.append)
    return slept


def ok(answer):
    return 200, json.dumps(answer).encode(), {}


def opened(server, **options):
    return open_model(ModelSource(server.url, classes=CLASSES, options=options))


def chances(body, _):
    ages = [row[0] for row in body["dataframe_split"]["data"]]
    return ok({"predictions": [[0.5, 0.5] if a is None else [1 - a / 100, a / 100] for a in ages]})


def test_rows_go_out_in_batches_and_come_back_in_order(server):
    server.answer = chances
    model = opened(server, batch=2, **{"header.Authorization": "Bearer x"})
    np.testing.assert_allclose(model.predict_proba(ROWS)[:, 1], [0.2, 0.5, 0.6])
    first, second = (b["dataframe_split"] for b in server.bodies)
    assert first == {"columns": ["age", "job"], "data": [[20.0, "clerk"], [None, None]]}
    assert second["data"] == [[60.0, "nurse"]]
    assert server.headers[0]["Authorization"] == "Bearer x"
    shown = str(model.describe()) + repr(model)
    assert "secret" not in shown and "hidden" not in shown and "Bearer" not in shown
    assert str(server.server_port) in shown


@pytest.mark.parametrize(
    ("request_form", "answer"),
    [
        ("dataframe_split", [0.2, 0.5, 0.6]),
        ("dataframe_records", [
            {"no": 0.8, "yes": 0.2}, {"yes": 0.5, "no": 0.5}, {"yes": 0.6, "no": 0.4},
        ]),
        ("instances", [[0.2], [0.5], [0.6]]),
    ],
)  # fmt: skip
def test_forms_of_requests_and_answers(server, request_form, answer):
    server.answer = lambda *_: ok(answer)
    found = opened(server, request=request_form).predict_proba(ROWS)
    np.testing.assert_allclose(found[:, 1], [0.2, 0.5, 0.6])
    (form,) = server.bodies[0]
    assert form == request_form
    first = server.bodies[0][form] if form == "dataframe_split" else server.bodies[0][form][0]
    assert first == {
        "dataframe_split": {"columns": ["age", "job"],
                            "data": [[20.0, "clerk"], [None, None], [60.0, "nurse"]]},
        "dataframe_records": {"age": 20.0, "job": "clerk"},
        "instances": {"age": 20.0, "job": "clerk"},
    }[form]  # fmt: skip


def test_decisions_beside_probabilities_are_the_servers_own(server):
    said = [{"no": 0.3, "yes": 0.7, "decision": "no"}, {"no": 0.1, "yes": 0.9, "decision": "yes"}]

    def answer(body, _):
        rows = body["dataframe_split"]["data"]
        return ok([said[k % 2] for k in range(len(rows))])

    server.answer = answer
    model = opened(server)
    np.testing.assert_allclose(model.predict_proba(ROWS)[:2, 1], [0.7, 0.9])
    assert model.decide(ROWS)[:2].tolist() == [0, 0], "one row is asked first"
    assert model.decide(ROWS)[2] == 1
    server.answer = lambda body, _: ok(
        [{"no": 0.3, "yes": 0.7}] * len(body["dataframe_split"]["data"])
    )
    asked = len(server.bodies)
    assert opened(server).decide(ROWS) is None
    assert len(server.bodies) == asked + 1, "a single row shows that there is none"
    server.answer = lambda body, _: ok(
        [{**said[0], "decision": "maybe"}] * len(body["dataframe_split"]["data"])
    )
    with pytest.raises(UserError, match="'maybe', which is not one of the classes no, yes"):
        opened(server).decide(ROWS)


def test_labels_are_decisions_only_if_the_user_says_so(server):
    server.answer = lambda *_: ok({"predictions": [0, 1, 1]})
    with pytest.raises(UserError, match=r"answers=labels audits decisions alone"):
        opened(server).predict_proba(ROWS)
    decisions = opened(server, answers="labels")
    assert "probabilities" not in decisions.channels
    assert decisions.predict_proba(ROWS).tolist() == [[1, 0], [0, 1], [0, 1]]
    server.answer = lambda *_: ok(["no", "perhaps", "yes"])
    with pytest.raises(UserError, match="answers 'perhaps', which is not one of the classes"):
        decisions.predict_proba(ROWS)


def test_a_busy_server_is_asked_again_with_growing_pauses(server, pauses):
    def recovers(body, k):
        busy = {1: (503, b"", {}), 2: (429, b"", {"Retry-After": "7"}), 3: (500, b"", {})}
        return busy.get(k) or chances(body, k)

    server.answer = recovers
    assert opened(server).predict_proba(ROWS).shape == (3, 2)
    assert pauses == [0.5, 7.0, 2.0]
    server.answer = lambda *_: (503, b"", {"Retry-After": "86400"})
    with pytest.raises(UserError, match=r"did not answer in 2 attempts \(status 503\)"):
        opened(server, retries=1).predict_proba(ROWS)
    assert pauses[-1] == http.LONGEST_PAUSE_S


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (404, b"<h1>no such\n page\x1b[31m</h1>", r"404 \(<h1>no such page.*\); check the path"),
        (401, b"", "send the credentials"),
        (302, b"", "give the address that it names"),
        (200, b"<html>", "something other than JSON: '<html>'"),
        (200, b"[" * 200_000, "something other than JSON"),
        (200, b"[" + b"9" * 6_000 + b"]", "something other than JSON"),
        (200, b"[" + b"9" * 400 + b", 1.0, 1.0]", "answers a row with"),
        (200, b"[[0.5, 0.5]]", "answers 3 rows with 1 entries"),
        (200, b'{"error": 1}', "answers 3 rows with NoneType"),
        (200, b'[["a", 1], [0, 1], [0, 1]]', "needs the probabilities of its 2 classes"),
        (200, b"[[NaN, 1], [0, 1], [0, 1]]", "needs the probabilities of its 2 classes"),
        (200, b'[{"no": 1}, {"no": 1}, {"no": 1}]', "without the class 'yes'; it names no"),
        (200, b" " * (2**20 + 1), r"answers with more than 1 MB; send fewer rows"),
    ],
)  # fmt: skip
def test_each_wrong_answer_is_one_sentence_without_retries(server, pauses, status, content, said):
    server.answer = lambda *_: (status, content, {"Location": "http://127.0.0.1:1/"})
    with pytest.raises(UserError, match=said) as error:
        opened(server, max_mb=1).predict_proba(ROWS)
    assert "secret" not in str(error.value) and "\x1b" not in str(error.value)
    assert len(server.bodies) == 1 and pauses == []


def test_a_server_that_stalls_or_is_away_is_given_up(server, pauses):
    release = threading.Event()

    def stalls(*_):
        release.wait(10)
        return ok([])

    server.answer = stalls
    with pytest.raises(UserError, match=r"in 2 attempts \(ReadTimeout\)"):
        opened(server, timeout_s=0.1, retries=1).predict_proba(ROWS)
    release.set()
    away = ModelSource("http://127.0.0.1:1/", classes=CLASSES, options={"retries": 0})
    with pytest.raises(UserError, match=r"did not answer in 1 attempts \(ConnectionError\)"):
        open_model(away).predict_proba(ROWS)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout_s": "soon"}, "are numbers"),
        ({"retries": -1}, "retries at least 0"),
        ({"request": "csv"}, "available: dataframe_split, dataframe_records, instances"),
        ({"batch": -1}, "at least 1 row"),
    ],
)
def test_wrong_options_are_refused(server, options, said):
    with pytest.raises(ConfigError, match=said):
        opened(server, **options)


def test_classes_must_be_named(server):
    with pytest.raises(UserError, match="give a table with the target"):
        open_model(ModelSource(server.url))
