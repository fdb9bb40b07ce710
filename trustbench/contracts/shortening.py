"""Shortens text that is too long for a server or a line on screen."""

import re
from collections.abc import Sequence


def shorten(text: str, limit: int, whole: str) -> str:
    """Cuts `text` to `limit` characters and then says that the full text is in `whole`.

    >>> shorten("The disk is full.", 60, "log.txt")
    'The disk is full.'
    >>> shorten("The disk is full. Delete some files, or give another folder.", 55, "log.txt")
    'The disk is full. ... (the whole text is in log.txt)'
    """
    if len(text) <= limit:
        return text
    mark = f" ... (the whole text is in {whole})"
    return beginning(text, limit - len(mark)) + mark


def beginning(text: str, room: int) -> str:
    """Returns as much of `text` as fits into `room`: sentences if they fill half of it, else words.

    >>> beginning("It is full. Delete some files.", 20)
    'It is full.'
    >>> beginning("It is full. Delete some files.", 29)
    'It is full. Delete some'
    """
    if len(text) <= room:
        return text
    ends = [m.end() for m in re.finditer(r"[.!?](?=\s)", text[: room + 1])]
    if ends and 2 * ends[-1] >= room:
        return text[: ends[-1]]
    words, blank, _ = text[: room + 1].rpartition(" ")
    return words.rstrip() if blank else text[:room]


def listed(names: Sequence[object], most: int = 3, between: str = ", ") -> str:
    """Lists the first `most` names and says how many more there are.

    >>> listed(list("abcde"))
    'a, b, c and 2 more'
    """
    shown = between.join(map(str, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
