"""Dates in text: one format for a whole column, and never a guess between day and month."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from trustbench.contracts import Array
from trustbench.datasets.loading.frames.words import Words

DAY, TIME = r"\d{1,2}", r"[ T]\d{1,2}:\d{2}"
ISO = "ISO8601"
STAMP = rf"^\d{{4}}-\d{{2}}-\d{{2}}{TIME}(:\d{{2}}([.,]\d+)?)?( ?(Z|UTC|[+-]\d{{2}}:?\d{{2}}))?$"
FORMATS: Sequence[tuple[str, str]] = (
    (r"^\d{4}-\d{2}-\d{2}$", "%Y-%m-%d"),
    (r"^\d{4}/\d{1,2}/\d{1,2}$", "%Y/%m/%d"),
    (rf"^{DAY}\.{DAY}\.\d{{4}}$", "%d.%m.%Y"),
    (rf"^{DAY}\.{DAY}\.\d{{4}} \d{{1,2}}:\d{{2}}$", "%d.%m.%Y %H:%M"),
    (rf"^{DAY}\.{DAY}\.\d{{4}} \d{{1,2}}:\d{{2}}:\d{{2}}$", "%d.%m.%Y %H:%M:%S"),
    (rf"^{DAY}-[A-Za-z]{{3}}-\d{{4}}$", "%d-%b-%Y"),
    (rf"^{DAY} [A-Za-z]{{3}} \d{{4}}$", "%d %b %Y"),
    (rf"^[A-Za-z]{{3}} {DAY}, \d{{4}}$", "%b %d, %Y"),
    (STAMP, ISO),
)
EITHER = ((r"^{0}/{0}/\d{{4}}$", "/"), (r"^{0}-{0}-\d{{4}}$", "-"))
TIMES = (("", ""), (r" \d{1,2}:\d{2}", " %H:%M"), (r" \d{1,2}:\d{2}:\d{2}", " %H:%M:%S"))
SHORT_YEAR = rf"^{DAY}[./-]{DAY}[./-]\d{{2}}$"
PROBE = 200


class Dates(NamedTuple):
    """The dates of words, datetime64 [words] (NaT: not a date), the format, and a doubt."""

    values: Array
    format: str
    doubt: str | None = None


def dates(words: Words) -> Dates | None:
    """Finds the one format in which every word is a date; None if there is none.

    Days and months that can be exchanged, and years of two digits, are a doubt.
    """
    if not len(words.words) or not _probe(words, r"^[\dA-Za-z]{1,4}[-./ ].*\d$|^\d{4}-.*(Z|UTC)$"):
        return None
    for pattern, form in FORMATS:
        if _all(words, pattern):
            return _tried(words, form)
    if _all(words, SHORT_YEAR):
        return Dates(_none(words), "", "years of two digits, and so the century, are unclear")
    return _with_exchangeable_days(words)


def _with_exchangeable_days(words: Words) -> Dates | None:
    for pattern, sign in EITHER:
        for clock, suffix in TIMES:
            if _all(words, pattern.format(DAY).removesuffix("$") + clock + "$"):
                return _day_or_month(words, sign, suffix)
    return None


def parsed(words: Words, form: str) -> Array:
    """The words as datetime64 [words] in a format; NaT where one is not. Zones become UTC."""
    text = pd.Series(words.words.to_pylist(), dtype=object)
    utc = form == ISO
    values = pd.to_datetime(text, format=form, errors="coerce", utc=utc)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    return np.asarray(values.to_numpy())


def _tried(words: Words, form: str) -> Dates | None:
    values = parsed(words, form)
    bad = np.isnat(values)
    if not bad.any():
        return Dates(values, form)
    if words.counts[bad].sum() > 0.1 * words.counts.sum():
        return None
    return Dates(values, form, f"{words.described(bad)} are not days of the calendar")


def _day_or_month(words: Words, sign: str, clock: str) -> Dates | None:
    found = []
    for order in ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y"):
        form = order.format(sign) + clock
        values = parsed(words, form)
        if not np.isnat(values).any():
            found.append(Dates(values, form))
    if len(found) == 2 and not np.array_equal(found[0].values, found[1].values):
        what = f"day and month can be exchanged in every date, as in {words.first(_every(words))}"
        return Dates(found[0].values, found[0].format, what)
    return found[0] if found else None


def _every(words: Words) -> Array:
    return np.ones(len(words.words), dtype=bool)


def _none(words: Words) -> Array:
    return np.full(len(words.words), "NaT", dtype="datetime64[s]")


def _probe(words: Words, pattern: str) -> bool:
    return bool(Words(words.words[:PROBE], words.word_of_row).matching(pattern).all())


def _all(words: Words, pattern: str) -> bool:
    return _probe(words, pattern) and bool(words.matching(pattern).all())


def arrow_dates(column: pa.ChunkedArray) -> Array:
    """A column of dates or timestamps as datetime64 [n], in UTC and without a zone."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        naive = pa.timestamp("us")
        column = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(naive)
    else:
        column = column.cast(pa.timestamp("us"), safe=False)
    return np.asarray(column.to_numpy())
