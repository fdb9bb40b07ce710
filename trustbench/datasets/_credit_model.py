"""The structural causal model of silobank: who applies for a credit card, and who repays.

Each variable is a fixed function of its parents plus its own independent noise, which can be
read back from the variable: counterfactuals are exact. Arrows, in order:

    group -> education, log_income, area_deprivation, employment_years, credit_history_years
    age -> log_income, employment_years, credit_history_years
    education -> log_income
    log_income -> area_deprivation, employment_years, utilisation, debt_to_income
    area_deprivation -> utilisation, debt_to_income
    log_income, employment_years, credit_history_years, utilisation, debt_to_income -> repaid

Group and age have no cause. Repayment depends on the group only through its effects on the
other variables. The numbers are magnitudes from public statistics of the United States, rounded:
a gap of 0.7 years of schooling and of 15 % in pay at equal schooling and age (Current
Population Survey; Mincer-type regressions), a return of 10 % to a year of school (Psacharopoulos
and Patrinos 2018), a median job tenure of 4 years (BLS), a median card utilisation of 30 %,
more thin credit files among minorities (CFPB 2015, Credit Invisibles). They were fixed before
any model was trained on them.

Reference: Pearl 2009, Causality, section 7.1 (abduction, action, prediction).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from trustbench.contracts import Array

Values = Mapping[str, Array]  # every variable so far, and "group"; each float64 [n]
INCOME = 10.7  # the log of 44,000 dollars a year
EDGE = 1e-6  # how close to the end of its range a value is read


class CausalMechanism(NamedTuple):
    """variable = unit(parents) * link(location(parents) + spread * noise)."""

    location: Callable[[Values], Array]
    spread: float
    link: Callable[[Array], Array]
    unlink: Callable[[Array], Array]
    unit: Callable[[Values], Array]


def _same(x: Array) -> Array:
    return x


def _exp(z: Array) -> Array:
    return np.asarray(np.exp(z))


def _log(x: Array) -> Array:
    return np.asarray(np.log(np.maximum(x, EDGE)))


def _share(z: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-z)))


def _log_odds(x: Array) -> Array:
    x = np.clip(x, EDGE, 1 - EDGE)
    return np.asarray(np.log(x / (1 - x)))


def _one(v: Values) -> Array:
    return np.ones_like(v["age"])


def _adult_years(v: Values) -> Array:
    return np.asarray(np.maximum(v["age"] - 18, EDGE))


def _income(v: Values) -> Array:
    age = v["age"] - 42
    schooling = 0.10 * (v["education"] - 13.5)
    return INCOME + schooling + 0.012 * age - 0.0006 * age**2 - 0.15 * v["group"]


MECHANISMS: Mapping[str, CausalMechanism] = {
    "education": CausalMechanism(lambda v: 13.5 - 0.7 * v["group"], 2.5, _same, _same, _one),
    "log_income": CausalMechanism(_income, 0.55, _same, _same, _one),
    "area_deprivation": CausalMechanism(
        lambda v: 0.7 * v["group"] - 0.4 * (v["log_income"] - INCOME), 0.9, _same, _same, _one
    ),
    "employment_years": CausalMechanism(
        lambda v: -1.6 - 0.2 * v["group"] + 0.3 * (v["log_income"] - INCOME),
        0.9,
        _share,
        _log_odds,
        _adult_years,
    ),
    "credit_history_years": CausalMechanism(
        lambda v: 0.6 - 0.6 * v["group"], 0.9, _share, _log_odds, _adult_years
    ),
    "utilisation": CausalMechanism(
        lambda v: -0.9 - 0.7 * (v["log_income"] - INCOME) + 0.25 * v["area_deprivation"],
        1.0,
        _share,
        _log_odds,
        _one,
    ),
    "debt_to_income": CausalMechanism(
        lambda v: -1.2 - 0.25 * (v["log_income"] - INCOME) + 0.15 * v["area_deprivation"],
        0.45,
        _exp,
        _log,
        _one,
    ),
}
NUMBERS = ("age", *MECHANISMS)


def draw_age(noise: Array) -> Array:
    """Ages [n] of applicants from standard normal noise [n]: 18 to 80 years, median 43."""
    return np.asarray(18 + 62 * _share(-0.4 + 0.9 * noise))


def predict(age: Array, group: Array, noise: Values) -> dict[str, Array]:
    """All numbers of applicants with that age, group and noise; each [n]."""
    values = {"age": age, "group": group.astype(np.float64)}
    for name, m in MECHANISMS.items():
        values[name] = m.unit(values) * m.link(m.location(values) + m.spread * noise[name])
    del values["group"]
    return values


def abduct(numbers: Values, group: Array) -> dict[str, Array]:
    """The noise that produced the numbers of applicants of that group; each [n]."""
    values = {**numbers, "group": group.astype(np.float64)}
    return {
        name: (m.unlink(values[name] / m.unit(values)) - m.location(values)) / m.spread
        for name, m in MECHANISMS.items()
    }


def repayment_probability(numbers: Values) -> Array:
    """The probability [n] that an applicant repays for two years; it has no term for the group."""
    z = (
        1.6
        + 0.8 * (numbers["log_income"] - INCOME)
        + 0.04 * (numbers["employment_years"] - 4)
        + 0.03 * (numbers["credit_history_years"] - 15)
        - 2.5 * (numbers["utilisation"] - 0.3)
        - 2.0 * (numbers["debt_to_income"] - 0.3)
    )
    return _share(z)


@dataclass(frozen=True)
class CreditModel:
    """Exact counterfactuals of silobank's applicants in the model's scaled space.

    The input is [n, 10]: the eight standardised NUMBERS, then one column for each group. The
    semi-latent space has the noise of each mechanism, in its standard deviations, in place of the
    number; age and the group stay as they are. `minority` is the share of group 1 in samples.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    minority: float = 0.15

    exact: ClassVar[bool] = True
    sensitive: ClassVar[tuple[int, ...]] = (len(NUMBERS), len(NUMBERS) + 1)

    def levels(self) -> Array:
        """The two groups [2, 2], in their columns."""
        return np.eye(2)

    def latent(self, X: Array) -> Array:
        """Applicants X [n, 10] -> their age and group, and the noise of all else: [n, 10]."""
        k = len(NUMBERS)
        raw = X[:, :k].astype(np.float64) * self.deviation + self.mean
        noise = abduct(dict(zip(NUMBERS, raw.T, strict=True)), X[:, k:].argmax(axis=1))
        numbers = [X[:, 0].astype(np.float64), *(noise[name] for name in MECHANISMS)]
        return np.column_stack([*numbers, X[:, k:]])

    def from_latent(self, Q: Array) -> Array:
        """Age, group and noise Q [n, 10] -> applicants [n, 10]."""
        k = len(NUMBERS)
        age = Q[:, 0] * self.deviation[0] + self.mean[0]
        noise = dict(zip(MECHANISMS, Q[:, 1:k].T, strict=True))
        numbers = predict(age, Q[:, k:].argmax(axis=1), noise)
        raw = np.stack([numbers[name] for name in NUMBERS], axis=1)
        return np.concatenate([(raw - self.mean) / self.deviation, Q[:, k:]], axis=1)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws new applicants [n, 10]."""
        group = (rng.random(n) < self.minority).astype(np.int64)
        age = (draw_age(rng.standard_normal(n)) - self.mean[0]) / self.deviation[0]
        noise = rng.standard_normal((n, len(MECHANISMS)))
        return self.from_latent(np.column_stack([age, noise, np.eye(2)[group]]))

    def state(self) -> bytes:
        """Nothing: the equations are this module's, and the data follow from them."""
        return b""

    def counterfactual(self, X: Array, group: int) -> Array:
        """Applicants X [n, 10] -> the same [n, 10], had they belonged to `group` (0 or 1)."""
        if group not in (0, 1):
            raise ValueError(f"group is {group}; silobank has groups 0 and 1")
        Q = self.latent(X)
        Q[:, list(self.sensitive)] = self.levels()[group]
        return self.from_latent(Q).astype(X.dtype)
