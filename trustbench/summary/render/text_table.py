"""Tables of plain text for a terminal."""

from collections.abc import Sequence

from trustbench.summary.render.escaping import visible


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Indented lines, columns padded to their widest value; control characters are marked.

    >>> aligned(["a", "b"], [["long", "x"]])
    ['  a     b', '  long  x']
    """
    whole = [[visible(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    return [
        "  " + "  ".join(f"{cell:<{n}}" for cell, n in zip(row, widths, strict=True)).rstrip()
        for row in whole
    ]
