"""The maximum size that a packed file may unpack to, compared with what it declares."""

import zipfile
from typing import BinaryIO

SMALL = 2**30
"""Bytes to which any file may unpack."""
RATIO = 200
"""A larger file may unpack to this many times its own size; text and numbers reach 5 to 50."""


def largest_unpacked(packed: int) -> int:
    """The maximum unpacked size of a file of `packed` bytes.

    >>> largest_unpacked(10) == 2**30, largest_unpacked(2**30) == 200 * 2**30
    (True, True)
    """
    return max(SMALL, RATIO * packed)


def too_large(declared: int, packed: int) -> str | None:
    """The end of a sentence about a file that unpacks to more than it may; None for any other.

    >>> too_large(2**40, 1000)
    'its 1,000 bytes unpack to 1,099,511,627,776, more than 1,073,741,824'
    """
    largest = largest_unpacked(packed)
    if declared <= largest:
        return None
    return f"its {packed:,} bytes unpack to {declared:,}, more than {largest:,}"


def archive_too_large(file: BinaryIO, packed: int) -> str | None:
    """The same about a zip archive, by the sizes that its list declares.

    Raises:
        zipfile.BadZipFile: it is not an archive.
    """
    with zipfile.ZipFile(file) as archive:
        # no more is unpacked than an entry declares: zipfile stops there
        return too_large(sum(i.file_size for i in archive.infolist()), packed)
