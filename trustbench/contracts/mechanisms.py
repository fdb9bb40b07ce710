"""What a plugin declares: the private rows it reads, and the mechanism that protects them."""

from dataclasses import dataclass
from typing import Literal

Rows = Literal["members", "pool", "validation", "calibration"]
"""`members`: the rows that a replicate trains on. `pool`: the rows that members are drawn from."""

Into = Literal["inputs", "settings", "training", "model", "answers"]
"""Where the result of a read goes: into the encoding of rows (`inputs`), into the settings of
training (`settings`), into the training of members (`training`, once for each trained copy that
answers), in place of the trained model (`model`), or into what is released beside it (`answers`).
"""

Covers = Literal["all", "explanation"]
"""What a mechanism's guarantee covers: everything released, or only the explanations."""


@dataclass(frozen=True)
class PoissonGaussian:
    """Noisy sums over Poisson batches: each row is in a batch independently, with `sample_rate`.

    `noise_multiplier` is the standard deviation of the noise, in units of the maximum contribution
    of one row.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int

    def __post_init__(self) -> None:
        """Raises ValueError outside these ranges: a bug, since users' values are checked before."""
        if not (self.noise_multiplier > 0 and 0 < self.sample_rate <= 1 and self.steps >= 1):
            raise ValueError(f"not a Poisson-sampled Gaussian: {self}")


@dataclass(frozen=True)
class Gaussian:
    """`releases` vectors with Gaussian noise, each a function of all rows.

    `noise_multiplier` is the standard deviation of the noise, in units of the maximum distance by
    which one row can move a vector, in Euclidean norm.
    """

    noise_multiplier: float
    releases: int = 1


@dataclass(frozen=True)
class Pure:
    """`releases` draws, each `epsilon`-differentially private with delta 0.

    Covers the Laplace mechanism, the exponential mechanism and randomised response; `name` says
    which it is.
    """

    name: Literal["Laplace", "exponential", "randomised response"]
    epsilon: float
    releases: int = 1


Mechanism = PoissonGaussian | Gaussian | Pure


@dataclass(frozen=True)
class Read:
    """One read of private rows and the mechanism that protects it (None: unprotected).

    A mechanism reads each of `rows` in its own term only. One row moves the result by no more than
    its noise multiplier or epsilon assumes.

    Args:
        rows: whose rows are read.
        what: what is learnt from them, as a short phrase: "the size of each group and label".
        into: where the result goes.
        mechanism: the noise between the rows and everything else.
        delta: the delta at which the mechanism's epsilon is stated.
        noise: the source of the noise.
        covers: what the mechanism's guarantee covers.
        beyond: what the guarantee leaves open, one short phrase each.
        instead: the setting with which nothing is read, as a short phrase.
    """

    rows: Rows
    what: str
    into: Into
    mechanism: Mechanism | None = None
    delta: float = 0.0
    noise: Literal["seeded", "system"] = "seeded"
    covers: Covers = "all"
    beyond: tuple[str, ...] = ()
    instead: str = ""

    @property
    def neighbours(self) -> Literal["add or remove", "replace"]:
        """How two neighbouring data sets differ: one row added or removed, or one replaced."""
        return "add or remove" if isinstance(self.mechanism, PoissonGaussian) else "replace"
