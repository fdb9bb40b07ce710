"""Positions of numbers: linear and logarithmic axes with round ticks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["linear", "log"]
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high` with (value, text) ticks and a label."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    label: str = ""
    kind: Kind = "linear"

    def at(self, value: float, start: float, end: float) -> float:
        """The position of a value between `start` and `end`; outliers are at the nearer end."""
        low, high, x = self.low, self.high, min(max(value, self.low), self.high)
        if self.kind == "log":
            low, high, x = math.log10(low), math.log10(high), math.log10(x)
        return start + (end - start) * (x - low) / (high - low)


def linear(values: Iterable[float], label: str = "", count: int = 4) -> Scale:
    """A scale over all finite values, with about `count` steps between round ticks.

    >>> scale = linear([0.0, 0.93])
    >>> scale.low, scale.high, [text for _, text in scale.ticks]
    (0.0, 1.0, ['0', '0.25', '0.5', '0.75', '1'])
    """
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    step = _step((high - low) / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    marks = [round(k * step, 12) + 0.0 for k in range(first, last + 1)]
    return Scale(marks[0], marks[-1], tuple((m, f"{m:z.6g}") for m in marks), label)


def _step(rough: float) -> float:
    unit = 10.0 ** math.floor(math.log10(rough))
    return unit * next(s for s in STEPS if s >= rough / unit - 1e-9)


def log(values: Iterable[float], label: str = "") -> Scale:
    """A logarithmic scale over the positive finite values, with a tick at each power of ten.

    Ranges below two decades also have ticks at 2 and 5.
    """
    positive = [v for v in values if math.isfinite(v) and v > 0] or [0.1, 1.0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    high = max(high, low + 1)
    parts = (1, 2, 5) if high - low <= 2 else (1,)
    marks = [p * 10.0**k for k in range(low, high + 1) for p in parts if p * 10**k <= 10**high]
    return Scale(10.0**low, 10.0**high, tuple((m, f"{m:zg}") for m in marks), label, "log")
