"""Numbers as every rendering spells them; `<data>` carries the exact value beside its text."""

import numpy as np
from numpy.typing import NDArray

from trustbench.summary.effects import Effect, paired_effect
from trustbench.summary.render import marks
from trustbench.summary.render import wording as w
from trustbench.summary.report.markup import Html, join, tag
from trustbench.summary.results import Estimate

Values = NDArray[np.float64]


def signed(value: float, of: str) -> Html:
    """A difference. `of` is the key under which JSON has the value."""
    return tag("data", w.number(value), value=repr(value), data_of=of)


def level(value: float | None, of: str) -> Html | None:
    """A level of a metric, which has no sign to show; None stays None."""
    return None if value is None else tag("data", w.level(value), value=repr(value), data_of=of)


def p_value(value: float | None, of: str) -> Html | None:
    """A p value; None stays None."""
    if value is None:
        return None
    return tag(
        "data", "< 0.001" if value < 0.001 else f"{value:z.3f}", value=repr(value), data_of=of
    )


def interval(effect: Effect, of: str = "") -> Html:
    """`wording.interval`, each end with its exact value."""
    ends = signed(effect.low, f"{of}low"), ", ", signed(effect.high, f"{of}high")
    return tag("span", "[", *ends, "]", class_="interval")


def number(effect: Effect, of: str = "") -> Html:
    """An effect with its interval, each number with its exact value."""
    return join(signed(effect.effect, f"{of}effect"), " ", interval(effect, of))


def estimate(e: Estimate) -> Html:
    """`wording.estimate_text`: effect, interval and n, or the verdict that says why not."""
    if e.effect is None:
        return join(w.estimate_text(e))
    below = tag("span", marks.mark(e), class_="unreliable") if e.below_floor else None
    return join(number(e.effect), " ", w.sample(e.effect), below)


def mean_interval(values: Values) -> tuple[Values, Values, Values]:
    """Mean, low and high of the 95 % t interval of each column: [k] each, of values [n, k]."""
    of = [paired_effect(column) for column in values.T]
    return (
        np.array([e.effect for e in of]),
        np.array([e.low for e in of]),
        np.array([e.high for e in of]),
    )
