"""Removes credentials from addresses in everything that people or logs may see.

An address is parsed, and only parts that an allow-list names are shown. Text may hold addresses
that this process was given, which are known whole, and others, which patterns find.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote, unquote

HIDDEN = "***"
SHORTEST = 4
"""Secrets shorter than this stand for ordinary text as well, and are hidden in addresses only."""
_ADDRESS = re.compile(r"([A-Za-z][\w+.-]*)://(.*)", re.DOTALL)
_HOST = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_PATH = re.compile(r"[\w./~+%,=-]*")
_PLAIN = re.compile(r"[\w./~-]*")
_OPTIONS = re.compile(
    r"sslmode=(disable|allow|prefer|require|verify-ca|verify-full)|charset=utf8(mb4)?"
    r"|connect_timeout=\d{1,6}"
)
_KEY = re.compile(r"([A-Za-z][A-Za-z_-]{0,23})=")
# in free text: up to the last @ that no blank or quote precedes
_USER = re.compile(r"(\w://)(?!/)[^\s'\"<>]*@")
# or, if what stands before it is not a port, up to the last @ of the line before another address
_QUOTED = re.compile(r"(\w://)(?!/)[^\s/:@]*:(?!\d+(?:\W|$))(?:(?!://)[^\n])*@")
_BARE = re.compile(r"\b((?:postgresql|mysql|mssql|https?)(?:\+\w+)?:)(?!//)[^\s'\"<>]*@")
_QUERY = re.compile(r"([?&;#])([A-Za-z][\w.-]*)=([^&\s'\"<>]*)")
_SECRET = re.compile(r"pass|pwd|token|secret|key|sig|auth|cred|session|jwt|code|user", re.I)
_PROFILE = re.compile(r"(\bdatabricks(?:-uc)?://)[^\s'\"<>]+")
_FRAGMENT = re.compile(r"(\w://[^\s'\"<>#]*)#[^\s'\"<>]+")
_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "DATABRICKS_TOKEN")

_known: dict[str, str] = {}
"""What this process was given and may not show -> what is shown in its place."""


def shown(address: str) -> str:
    """An address as it may be shown: scheme, host, port, path and harmless options.

    >>> shown("http://ann:it's s3cret@host:5000/a?sig=1#t")
    'http://***@host:5000/a?sig=***#***'
    >>> shown("postgresql:ann:pw@host/db"), shown("databricks://NAME")
    ('postgresql:***', 'databricks://***')
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        word, colon, _ = address.partition(":")
        if _PLAIN.fullmatch(address):
            return address
        return f"{word}:{HIDDEN}" if colon and word.isalnum() else HIDDEN
    scheme, rest = found.groups()
    if scheme.startswith("sqlite"):
        path, mark, _ = rest.partition("?")
        return f"{scheme}://{path}{mark and f'?{HIDDEN}'}"
    if scheme.startswith("databricks"):
        return f"{scheme}://{HIDDEN}" if rest else address
    return f"{scheme}://{_remote(rest)}"


def _remote(rest: str) -> str:
    """What stands behind `://`, as it may be shown."""
    place, path, query, fragment = _parts(rest)
    host = place.rpartition("@")[2]
    if "@" in path + query + fragment or not _HOST.fullmatch(host):
        return HIDDEN  # where the password ends cannot be told
    user = f"{HIDDEN}@" if "@" in place else ""
    end = path if _PATH.fullmatch(path) else f"/{HIDDEN}"
    asked = "&".join(_option(o) for o in query[1:].split("&")) if query else ""
    return f"{user}{host}{end}{query and f'?{asked}'}{fragment and f'#{HIDDEN}'}"


def _parts(rest: str) -> tuple[str, str, str, str]:
    """Place, path, query and fragment; the last two with their marks."""
    before, sharp, fragment = rest.partition("#")
    before, mark, query = before.partition("?")
    place, slash, path = before.partition("/")
    return place, slash + path, mark + query, sharp + fragment


def _option(text: str) -> str:
    if _OPTIONS.fullmatch(text):
        return text
    key = _KEY.match(text)
    return f"{key[0]}{HIDDEN}" if key else HIDDEN


def conceal(*addresses: str | None) -> None:
    """From now on `redact` hides these addresses and their passwords wherever they stand."""
    for address in addresses:
        if address and shown(address) != address:
            _known.update(_replacements(address))


def conceal_secret(secret: str) -> None:
    """From now on `redact` hides this text wherever it stands."""
    if len(secret) >= SHORTEST:
        _known.update(dict.fromkeys(_spellings(secret), HIDDEN))


def conceal_given(args: Sequence[str], environment: Mapping[str, str]) -> None:
    """Conceals the addresses and headers on a command line, and secrets of the environment."""
    for before, arg in zip(["", *args], args, strict=False):
        key, _, value = arg.partition("=")
        if key.startswith("header.") and before in ("", "--option"):
            _conceal_header(value)
        elif "://" in arg or "tracking_uri" in key or before == "--tracking-uri":
            conceal(*{arg, value, value.strip("'\"")} if value else {arg})
    for name in _VARIABLES:
        conceal_secret(environment.get(name, ""))
    conceal(environment.get("MLFLOW_TRACKING_URI"))


def _conceal_header(value: str) -> None:
    for part in (value, *value.split()):
        if part.lower() not in ("bearer", "basic", "token"):
            conceal_secret(part.strip("'\""))


def redact(text: str, *addresses: str | None) -> str:
    """Returns `text` without the user names, passwords and tokens of its addresses.

    The passwords of `addresses` are hidden anywhere in the text, also on their own.

    >>> redact("http://ann:s3cret@host:5000 does not answer")
    'http://***@host:5000 does not answer'
    >>> redact("postgresql://host/db?sslmode=require&password=s3cret")
    'postgresql://host/db?sslmode=require&password=***'
    >>> redact("refused: s3cret", "http://ann:s3cret@host:5000")
    'refused: ***'
    """
    known = dict(_known)
    for address in addresses:
        if address and shown(address) != address:
            known.update(_replacements(address))
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, known[secret])
    return _by_pattern(text)


def _by_pattern(text: str) -> str:
    text = _USER.sub(rf"\1{HIDDEN}@", text)
    text = _QUOTED.sub(rf"\1{HIDDEN}@", text)
    text = _BARE.sub(rf"\1{HIDDEN}@", text)
    text = _PROFILE.sub(rf"\1{HIDDEN}", text)
    text = _FRAGMENT.sub(rf"\1#{HIDDEN}", text)
    return _QUERY.sub(_hide_value, text)


def _hide_value(found: re.Match[str]) -> str:
    mark, key, _ = found.groups()
    return f"{mark}{key}={HIDDEN}" if _SECRET.search(key) else found[0]


def _replacements(address: str) -> dict[str, str]:
    """Every spelling of an address and of its secrets -> what may be shown."""
    visible = shown(address)
    made = dict.fromkeys(_spellings(address), visible)
    for secret in _secrets(address):
        if len(secret) >= SHORTEST:
            made.update(dict.fromkeys(_spellings(secret), HIDDEN))
    return made


def _secrets(address: str) -> Iterator[str]:
    """The password of an address, the values of its query, and its fragment."""
    rest = address.partition("://")[2] or address.partition(":")[2]
    user, at, _ = rest.rpartition("@")
    yield user.partition(":")[2] if at else ""
    _, _, query, fragment = _parts(rest.rpartition("@")[2] if at else rest)
    yield fragment[1:]
    for option in query[1:].split("&"):
        key = _KEY.match(option)
        value = option[key.end() :] if key else option
        if not key or _SECRET.search(key[0]) or len(value) >= 2 * SHORTEST:
            yield value


def _spellings(secret: str) -> Iterable[str]:
    """A text as it stands in messages, tracebacks, JSON, HTML, YAML and addresses."""
    for text in {secret, unquote(secret), quote(secret, safe=""), quote(secret)}:
        if len(text) >= SHORTEST:
            yield from (text, repr(text)[1:-1], json.dumps(text)[1:-1], html.escape(text))
            yield from (text.replace("'", "''"), text.replace("'", "\\'"))
