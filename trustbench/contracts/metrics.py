"""What an evaluator declares about each of its metrics, before anything is measured."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal

import numpy as np

from trustbench.contracts.arrays import Array
from trustbench.contracts.measurement import Measured, Measurement
from trustbench.errors import did_you_mean

PERMUTED = "<name>_permuted"
"""The null of a metric that compares groups: its mean over random groups of the same sizes."""
SCORES = frozenset({"aps", "lac", "raps", "saps"})
"""The registered scores of prediction sets. Another package's method lists its own under `scores`
in its YAML file."""
NUMBERS = {"n": r"\d+", "radius": r"\d[\d.e+-]*"}
"""Placeholders that stand for numbers; all others stand for a word, such as a score."""
WORD = r"[A-Za-z]\w*"
PLACEHOLDER = re.compile(r"<([\w|]+)>")

Bound = float | str | None
"""A number, or a description if it depends on the problem or the settings."""


@dataclass(frozen=True)
class Metric:
    """A metric of an evaluator, or a family of metrics.

    A name with placeholders declares a family: `size_<score>` is one metric for each released
    score, `breach_<n>` one for each number of rows, `auc_<label|confidence>` exactly these two, and
    `r2_probability<|_mean>` both `r2_probability` and `r2_probability_mean`.

    Args:
        name: as the evaluator measures it; tables and policies write `<evaluator>/<name>`.
        sentence: what it says, for a reader of a table cell who knows no metric names.
        unit: of its values.
        better: the direction that is good for the aspect measured.
        lower: the smallest value that it can take; None: unbounded.
        upper: the largest value; None: unbounded. Words, such as "number of labels", where it
            depends on the problem or the settings: each measurement then gives the number.
        null: what it is read against: a measurement beside it, `PERMUTED` (the same metric over
            random groups, declared by this), or a number. None: nothing but the baseline.
        diagnostic: a control or a part, from which no table cell may read an effect.
        rate: whether it is the share of its n rows that have a property, each counting as much as
            the others; such a number of a given model has an exact binomial interval.
    """

    name: str
    sentence: str
    unit: str
    better: Literal["higher", "lower"]
    lower: Bound = None
    upper: Bound = None
    null: str | float | None = None
    diagnostic: bool = False
    rate: bool = False

    @property
    def higher_is_better(self) -> bool:
        """The direction, as measurements and records say it."""
        return self.better == "higher"

    @property
    def explanation(self) -> str:
        """The sentence, then the unit and the direction, for every place that explains a metric.

        >>> Metric("ece", "How far confidence is from accuracy.", "fraction", "lower").explanation
        'How far confidence is from accuracy. Unit: fraction; lower is better.'
        """
        kind = "; diagnostic" if self.diagnostic else ""
        return f"{self.sentence} Unit: {self.unit}; {self.better} is better{kind}."

    def matches(self, name: str, scores: frozenset[str] | None = None) -> bool:
        """Whether this declares the metric of this name.

        `scores` are those that `<score>` stands for; None: any, as where sets are measured that a
        method of another package releases.

        >>> sizes = Metric("size_<score>", "How many labels a set holds.", "labels", "lower")
        >>> sizes.matches("size_lac"), sizes.matches("size_"), sizes.matches("sizes_lac")
        (True, False, False)
        >>> sizes.matches("size_lac", SCORES), sizes.matches("size_lca", SCORES)
        (True, False)
        """
        return _pattern(self.name, scores).fullmatch(name) is not None

    @property
    def literal(self) -> int:
        """How many characters of the name are its own: where two match, the longer declares."""
        return len(PLACEHOLDER.sub("", self.name))

    def nulls(self) -> "tuple[Metric, ...]":
        """The metric that `PERMUTED` declares beside this one, if it does."""
        if self.null != PERMUTED:
            return ()
        sentence = f"Over random groups of the same sizes: {_lower_first(self.sentence)}"
        name = PERMUTED.replace("<name>", self.name)
        return (replace(self, name=name, sentence=sentence, null=None, diagnostic=True),)

    def of(
        self,
        name: str,
        values: object,
        n: int,
        *,
        lower: float | None = None,
        upper: float | None = None,
    ) -> Measurement:
        """The measurement `name` of this metric or family: `values` [R], each of `n` rows.

        Raises:
            ValueError: a bound is given that the declaration fixes, or one that it leaves to the
                measurement is missing.
        """
        return Measurement(
            name=name,
            values=_array(values),
            higher_is_better=self.higher_is_better,
            unit=self.unit,
            n=n,
            lower=_bound(name, self.lower, lower),
            upper=_bound(name, self.upper, upper),
            diagnostic=self.diagnostic,
        )

    def contradiction(self, m: Measurement) -> str | None:
        """The difference between a measurement and its declaration, or None."""
        said = {
            "unit": (m.unit, self.unit),
            "higher_is_better": (m.higher_is_better, self.higher_is_better),
            "diagnostic": (m.diagnostic, self.diagnostic),
            "lower": (m.lower, m.lower if isinstance(self.lower, str) else self.lower),
            "upper": (m.upper, m.upper if isinstance(self.upper, str) else self.upper),
        }
        for field, (measured, declared) in said.items():
            if measured != declared:
                return f"{field} is {measured!r}, declared as {declared!r}"
        return None


Metrics = tuple[Metric, ...]
DeclaredMetrics = Mapping[str, Metrics | None]
"""Evaluator -> its metrics. None: its declaration cannot be read here, as of another user's
plugin whose records are summarised."""

fraction = partial(Metric, unit="fraction", lower=0.0, upper=1.0)
"""A metric that is a share of something: between 0 and 1."""
attack_auc = partial(Metric, unit="AUC", better="lower", lower=0.0, upper=1.0, null=0.5)
"""How well an attacker tells two kinds of rows apart, as an AUC: one half by chance."""
attack_rate = partial(Metric, unit="true-positive rate", better="lower", lower=0.0, upper=1.0)
"""How many of the rows in question an attacker finds."""


def all_of(metrics: Metrics) -> Iterator[Metric]:
    """The declared metrics, each followed by the null that it declares with `PERMUTED`."""
    for metric in metrics:
        yield metric
        yield from metric.nulls()


def find(metrics: Metrics, name: str, scores: frozenset[str] | None = None) -> Metric | None:
    """The declaration of a measurement's name: of several that match, the most specific one.

    `scores` as in `Metric.matches`.

    >>> a, b = (Metric(n, "It.", "R2", "higher") for n in ("r2_<score>", "r2_<score>_mean"))
    >>> find((a, b), "r2_lac_mean").name, find((a, b), "r3")
    ('r2_<score>_mean', None)
    """
    found = [metric for metric in all_of(metrics) if metric.matches(name, scores)]
    return max(found, key=lambda metric: metric.literal, default=None)


def find_in(declared: DeclaredMetrics, metric: str) -> Metric | None:
    """The declaration of `<evaluator>/<name>`, as tables, policies and records name a metric."""
    evaluator, _, name = metric.partition("/")
    return find(declared.get(evaluator) or (), name)


def check(metrics: Metrics, measured: Measured, owner: str) -> None:
    """Compares what an evaluator of class `owner` measured with what it declares.

    Raises:
        ValueError: a measurement is not declared, or differs from its declaration.
    """
    for name in measured.missing:
        declared(metrics, name, owner)
    for m in measured.measurements:
        wrong = declared(metrics, m.name, owner).contradiction(m)
        if wrong is not None:
            raise ValueError(
                f"{owner} measures {m.name!r} otherwise than it declares: {wrong}; "
                f"make measurements with `self.measurement`, which reads the declaration"
            )


def declared(metrics: Metrics, name: str, owner: str) -> Metric:
    """The declaration of a measurement of the evaluator class `owner`.

    Raises:
        ValueError: it declares no such metric, which is a bug of the evaluator.
    """
    metric = find(metrics, name)
    if metric is None:
        hint = did_you_mean(name, [m.name for m in all_of(metrics)])
        raise ValueError(
            f"{owner} measures {name!r} without declaring it; add a Metric of this name or family "
            f"to its `metrics`; {hint}"
        )
    return metric


@cache
def _pattern(name: str, scores: frozenset[str] | None) -> re.Pattern[str]:
    """The names that a declared name stands for."""
    known = NUMBERS if scores is None else {**NUMBERS, "score": "|".join(map(re.escape, scores))}
    parts = [
        re.escape(part) if k % 2 == 0 else f"(?:{part if '|' in part else known.get(part, WORD)})"
        for k, part in enumerate(PLACEHOLDER.split(name))
    ]
    return re.compile("".join(parts))


def _bound(name: str, declared: Bound, given: float | None) -> float | None:
    if isinstance(declared, str):
        if given is None:
            raise ValueError(f"measurement {name}: give its bound, the {declared}")
        return given
    if given is not None:
        raise ValueError(f"measurement {name}: its bound is declared as {declared}")
    return declared


def _array(values: object) -> Array:
    """Values as numpy keeps them; tensors may be on another device."""
    on_device = getattr(values, "cpu", None)
    return np.asarray(values if on_device is None else on_device().numpy(), dtype=np.float64)


def _lower_first(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
