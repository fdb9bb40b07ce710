"""How the lines of a text are cut into fields: separator, quote and escape."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SPACES = " "
"""The separator of a file whose fields are separated by any white space."""

SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "vertical bar", ",": "comma", SPACES: "spaces"}
csv.field_size_limit(2**24)


@dataclass(frozen=True)
class TextDialect:
    """The signs of a text table; `quote` and `escape` are None if there are none.

    `spaced` says that spaces may stand between a separator and the quote of the next field.
    """

    separator: str
    quote: str | None = '"'
    escape: str | None = None
    spaced: bool = False

    @property
    def plain(self) -> bool:
        """Whether pyarrow's parser knows the dialect; Python's own reads the others."""
        return not self.spaced and self.separator != SPACES

    def records(
        self, lines: Iterator[str], strict: bool = False
    ) -> Iterator[tuple[int, list[str]]]:
        """(line on which it begins, fields) of every record that is not blank."""
        if self.separator == SPACES:
            lines = (line.strip().replace("\t", " ") for line in lines)
        reader = csv.reader(
            lines,
            delimiter=self.separator,
            quotechar=self.quote,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            escapechar=self.escape,
            skipinitialspace=not self.plain,
            strict=strict,
        )
        begins = 1
        for fields in reader:
            if fields:
                yield begins, fields
            begins = reader.line_num + 1


def named(separator: str) -> str:
    """A separator in words.

    >>> named(";"), named("~")
    ('semicolon', "'~'")
    """
    return SEPARATORS.get(separator, repr(separator))


def accepts(dialect: TextDialect, lines: Sequence[str]) -> bool:
    """Whether a strict reader accepts the lines in a dialect."""
    try:
        return all(True for _ in dialect.records((f"{s}\n" for s in lines), strict=True))
    except csv.Error:
        return False
