"""Pictures of a few pixels as PNG files inside the page, and effects laid over them."""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from trustbench.summary.report.evidence import Values

Picture = NDArray[np.uint8]
"""Levels [h, w, c] of grey (c = 1) or colour (c = 3)."""
MOST = 48
"""Longer sides are shortened, by means over blocks."""
FOR, AGAINST = (179, 60, 0), (11, 83, 148)
"""The colours of positive and negative effects; distinguishable by the colour-blind."""
FADED = 0.2
"""The share of a picture's contrast that remains under the effects."""


def overlay(picture: Picture, effects: Values) -> Picture:
    """A faded picture [h, w, c] under effects [h, w]; the strongest has the full colour."""
    most = float(np.abs(effects).max())
    share = (np.abs(effects) / most if most > 0 else np.zeros_like(effects))[..., None]
    under = 255 - FADED * (255 - colour(picture).mean(-1, keepdims=True))
    over = np.where(effects[..., None] > 0, np.array(FOR), np.array(AGAINST))
    return np.asarray(np.rint((1 - share) * under + share * over), dtype=np.uint8)


def colour(picture: Picture) -> Picture:
    """A picture in three channels; for other numbers of channels, the mean as grey."""
    if picture.shape[-1] == 3:
        return picture
    grey = picture.mean(-1, keepdims=True).astype(np.uint8)
    return np.repeat(grey, 3, axis=-1)


def smaller(values: NDArray[np.generic]) -> Values:
    """Shrinks values [h, w, ...] by means over square blocks until no side exceeds MOST.

    >>> smaller(np.arange(4.0).reshape(2, 2)).tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    height, width = values.shape[:2]
    step = -(-max(height, width) // MOST)
    rows, columns = np.arange(0, height, step), np.arange(0, width, step)
    sums = np.add.reduceat(np.add.reduceat(values.astype(float), rows, 0), columns, 1)
    counts = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    return np.asarray(sums / counts.reshape(counts.shape + (1,) * (values.ndim - 2)))


def data_uri(picture: Picture) -> str:
    """A picture in three channels [h, w, 3] as a data URI.

    The PNG is written by hand (W3C PNG, second edition): no filter, one compressed block.
    """
    height, width, _ = picture.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _chunk(name: bytes, content: bytes) -> bytes:
    checked = name + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
