"""Removes credentials from addresses in everything that people or logs may see."""

import re
from urllib.parse import unquote, urlsplit

HIDDEN = "***"
# up to the last @ that no blank or quote precedes: passwords may contain @, / and :
_USER = re.compile(r"(\w://)(?!/)[^\s'\"<>]*@")
_QUERY = re.compile(r"([?&][^=&\s]*(?:pass|pwd|token|secret|key)[^=&\s]*=)[^&\s'\"<>]*", re.I)


def redact(text: str, *addresses: str | None) -> str:
    """Returns `text` without the user names, passwords and tokens of its addresses.

    The passwords of `addresses` are hidden anywhere in the text, also on their own.

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
    """The password of an address, both as written and decoded."""
    try:
        password = urlsplit(address).password
    except ValueError:  # not an address at all; the patterns have to suffice
        return []
    return [password, unquote(password)] if password else []
