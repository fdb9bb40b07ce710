"""Bounds on what an MLflow server may answer: size and time of every answer, headers included."""

import http.client
import io
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

LONGEST_MB = 256
SILENCE_S = 30.0
"""How long an answer may take beyond what SLOWEST allows; also MLflow's timeout."""
SLOWEST = 100_000
"""Bytes in a second, on average, that a server sends at least."""


TOO_LONG = f"an answer is longer than {LONGEST_MB} MB"
TOO_SLOW = "its answer does not come to an end"
COMPRESSED = "it compresses answers though it was asked not to; turn that off in its proxy"


class UnboundedAnswer(OSError):
    """A server that sends without end, or drop by drop."""


def exceeded(text: str, chain: Iterable[BaseException]) -> str | None:
    """Which bound an error means, by its text or by what caused it; None for any other error.

    requests and urllib3 put an error of the connection into the text of their own.
    """
    texts = [text, *(str(e) for e in chain if isinstance(e, UnboundedAnswer))]
    return next((b for b in (TOO_LONG, TOO_SLOW, COMPRESSED) if any(b in t for t in texts)), None)


@contextmanager
def bounded(*, remote: bool) -> Iterator[None]:
    """Inside the block no answer of an HTTP server is longer or slower than the bounds.

    MLflow opens its own connections and reads whole answers; its timeout starts anew at each byte.
    """
    from urllib3.connection import HTTPConnection

    connection: Any = HTTPConnection
    before = connection.response_class
    if remote:
        connection.response_class = _BoundedResponse
    try:
        yield
    finally:
        connection.response_class = before


@lru_cache(maxsize=1)
def ask_uncompressed() -> None:
    """Lets MLflow ask for answers as they are, whose size is that of what arrives."""
    from mlflow.tracking.request_header import registry
    from mlflow.tracking.request_header.abstract_request_header_provider import (
        RequestHeaderProvider,
    )

    class Uncompressed(RequestHeaderProvider):
        def in_context(self) -> bool:
            return True

        def request_headers(self) -> dict[str, str]:
            return {"Accept-Encoding": "identity"}

    known: Any = registry._request_header_provider_registry
    known.register(Uncompressed)


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp: io.BufferedReader = io.BufferedReader(_Bounded(self.fp))

    def begin(self) -> None:
        super().begin()
        coding = self.headers.get("Content-Encoding", "identity")
        if coding.strip().lower() not in ("", "identity"):  # a kilobyte can become gigabytes
            raise UnboundedAnswer(COMPRESSED)


class _Bounded(io.RawIOBase):
    """Reads from a connection until the bounds are reached."""

    def __init__(self, inner: io.BufferedReader) -> None:
        self.inner, self.began, self.received = inner, time.monotonic(), 0
        self.patience = float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT") or SILENCE_S)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        piece = self.inner.read1(len(view))
        view[: len(piece)] = piece
        self.received += len(piece)
        if self.received > LONGEST_MB * 2**20:
            raise UnboundedAnswer(TOO_LONG)
        if time.monotonic() - self.began > self.patience + self.received / SLOWEST:
            raise UnboundedAnswer(TOO_SLOW)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self.inner.close()
        super().close()
