"""Addresses without the credentials in them, for everything that people or logs may see."""

import re
from urllib.parse import unquote, urlsplit

HIDDEN = "***"
# up to the last @ that no blank or quote comes before: passwords hold @, / and : too
_USER = re.compile(r"(\w://)(?!/)[^\s'\"<>]*@")
_QUERY = re.compile(r"([?&][^=&\s]*(?:pass|pwd|token|secret|key)[^=&\s]*=)[^&\s'\"<>]*", re.I)


def redact(text: str, *addresses: str | None) -> str:
    """`text` without user names, passwords and tokens of addresses in it.

    The passwords of `addresses` are hidden wherever they stand in the text, also alone.

    >>> redact("http://ann:s3cret@host:5000 does not answer")
    'http://***@host:5000 does not answer'
    >>> redact("postgresql://host/db?user=ann&password=s3cret")
    'postgresql://host/db?user=ann&password=***'
    >>> redact("refused: s3cret", "http://ann:s3cret@host:5000")
    'refused: ***'
    """
    text = _QUERY.sub(rf"\1{HIDDEN}", _USER.sub(rf"\1{HIDDEN}@", text))
    for secret in sorted({s for a in addresses if a for s in _secrets(a)}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _secrets(address: str) -> list[str]:
    """The password of an address as it is written and as it is meant."""
    try:
        password = urlsplit(address).password
    except ValueError:  # no address at all; the patterns have to do
        return []
    return [password, unquote(password)] if password else []
