"""Numbers as in every rendering; `<data>` carries the exact value beside its text."""

from trustbench.summary.render import marks
from trustbench.summary.render import wording as w
from trustbench.summary.report.markup import Html, join, tag
from trustbench.summary.stats.effects import Effect
from trustbench.summary.table.results import Estimate


def signed(value: float, what: str) -> Html:
    """A difference. `what` is the key of the value in the JSON."""
    return tag("data", w.number(value), value=repr(value), data_of=what)


def level(value: float | None, what: str) -> Html | None:
    """A level of a metric, without a sign; None stays None."""
    return None if value is None else tag("data", w.level(value), value=repr(value), data_of=what)


def p_value(value: float | None, what: str) -> Html | None:
    """A p value; None stays None."""
    if value is None:
        return None
    return tag(
        "data", "< 0.001" if value < 0.001 else f"{value:z.3f}", value=repr(value), data_of=what
    )


def interval(effect: Effect, what: str = "") -> Html:
    """`wording.interval`, each end with its exact value."""
    ends = signed(effect.low, f"{what}low"), ", ", signed(effect.high, f"{what}high")
    return tag("span", "[", *ends, "]", class_="interval")


def number(effect: Effect, what: str = "") -> Html:
    """An effect with its interval, each number with its exact value."""
    return join(signed(effect.effect, f"{what}effect"), " ", interval(effect, what))


def estimate(e: Estimate) -> Html:
    """`wording.estimate_text`: effect, interval and n, or the verdict in their place."""
    if e.effect is None:
        return join(w.estimate_text(e))
    below = tag("span", marks.mark(e), class_="unreliable") if e.below_floor else None
    return join(number(e.effect), " ", w.sample(e.effect), below)
