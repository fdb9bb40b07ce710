"""Requests to a server whose answers nobody vouches for: limited in time, size and number."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import requests

from trustbench.contracts import Fact
from trustbench.errors import ConfigError, UserError, printable

MB = 2**20
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
CHUNK = 2**16
QUOTED = 200
"""Maximum number of characters of a server's error that a sentence quotes."""


@dataclass(frozen=True)
class Limits:
    """What one request may cost."""

    timeout_s: float = 30.0  # from the request to the end of the answer
    retries: int = 3
    max_mb: float = 64.0

    def __post_init__(self) -> None:
        if self.timeout_s <= 0 or self.retries < 0 or self.max_mb <= 0:
            raise ConfigError(
                f"timeout_s={self.timeout_s}, retries={self.retries}, max_mb={self.max_mb}: "
                "the time and the size must be above 0, and retries at least 0."
            )

    @classmethod
    def of(cls, options: Mapping[str, Fact]) -> Self:
        """The limits among an adapter's options."""
        try:
            return cls(
                timeout_s=float(options.get("timeout_s") or cls.timeout_s),
                retries=int(options.get("retries", cls.retries) or 0),
                max_mb=float(options.get("max_mb") or cls.max_mb),
            )
        except ValueError as error:
            raise ConfigError(f"timeout_s, retries and max_mb are numbers ({error}).") from error


class _Busy(Exception):
    """The server may answer later; `pause_s` is how long it asks to wait."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


@dataclass(frozen=True)
class Address:
    """An HTTP address that takes JSON and answers JSON."""

    url: str = field(repr=False)  # may hold a password
    limits: Limits = Limits()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    session: requests.Session = field(default_factory=requests.Session, repr=False)

    @property
    def shown(self) -> str:
        """The address without user, password and query."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def post(self, body: Mapping[str, Any]) -> Any:
        """Sends JSON and returns the JSON of the answer.

        A server that is busy, restarts or does not answer in time is asked again, after a pause
        that doubles. Redirections are not followed: the headers would go elsewhere.

        Raises:
            UserError: it refuses, stays silent, or answers with too much or with other than JSON.
        """
        pause, reason = FIRST_PAUSE_S, ""
        for attempt in range(self.limits.retries + 1):
            try:
                return self._once(body)
            except _Busy as busy:
                reason = str(busy)
                if attempt < self.limits.retries:
                    time.sleep(min(busy.pause_s or pause, LONGEST_PAUSE_S))
                    pause *= 2
        times = self.limits.retries + 1
        raise UserError(
            f"{self.shown} did not answer in {times} attempts ({reason}); check that the server "
            "runs and that the address is right, or give it more time (timeout_s, retries)."
        )

    def _once(self, body: Mapping[str, Any]) -> Any:
        deadline = time.monotonic() + self.limits.timeout_s
        try:
            with self.session.post(
                self.url,
                data=json.dumps(body, allow_nan=False).encode(),
                headers={"Content-Type": "application/json", **self.headers},
                # requests would put the password of the address, or of .netrc, in its place
                auth=_unchanged if "Authorization" in self.headers else None,
                timeout=self.limits.timeout_s,
                stream=True,
                allow_redirects=False,
            ) as answer:
                content = self._content(answer, deadline)
                self._refuse_status(answer, content)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise _Busy(f"{type(error).__name__}") from error
        except requests.RequestException as error:
            raise UserError(f"{self.shown} cannot be asked: {error}; check the address.") from error
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:  # nested without end: not an answer either
            raise UserError(
                f"{self.shown} answers with something other than JSON: {_quoted(content)!r}."
            ) from error

    def _content(self, answer: requests.Response, deadline: float) -> bytes:
        """The body, in pieces, so that neither its size nor a slow server goes unnoticed."""
        content = bytearray()
        for piece in answer.iter_content(CHUNK):
            content += piece
            if len(content) > self.limits.max_mb * MB:
                raise UserError(
                    f"{self.shown} answers with more than {self.limits.max_mb:g} MB; send fewer "
                    "rows at once (batch), or allow more (max_mb)."
                )
            if time.monotonic() > deadline:
                raise _Busy(f"no complete answer within {self.limits.timeout_s:g} s")
        return bytes(content)

    def _refuse_status(self, answer: requests.Response, content: bytes) -> None:
        status = answer.status_code
        if status == 200:
            return
        if status in BUSY:
            raise _Busy(f"status {status}", _seconds(answer.headers.get("Retry-After")))
        todo = {
            301: "give the address that it names",
            302: "give the address that it names",
            307: "give the address that it names",
            308: "give the address that it names",
            401: "send the credentials that it asks for (header.Authorization)",
            403: "send the credentials that it asks for (header.Authorization)",
            404: "check the path of the address (MLflow's is /invocations)",
            413: "send fewer rows at once (batch)",
        }.get(status, "check that the server takes these columns in this form (request)")
        raise UserError(f"{self.shown} refuses with status {status} ({_quoted(content)}); {todo}.")


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdecimal() else None


def _quoted(content: bytes) -> str:
    """The beginning of a server's text, on one line."""
    text = " ".join(content[: 4 * QUOTED].decode(errors="replace").split())
    return printable(text[:QUOTED])
