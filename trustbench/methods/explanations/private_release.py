"""Noise that makes released vectors differentially private.

A release is a vector clipped to norm `bound`. Replacing a row of the training data can move it from
anywhere in that ball to anywhere else, by at most 2 `bound`, for any model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b, shake_256
from typing import Literal

import numpy as np
from scipy.stats import laplace, norm

from trustbench.contracts import Array, Gaussian, Pure
from trustbench.contracts.seeding import normals, uniforms
from trustbench.methods.privacy.composition import largest_separation

MechanismName = Literal["gaussian", "laplace"]


@dataclass(frozen=True)
class Mechanism:
    """Adds noise of (epsilon, delta) per release to vectors of norm at most `bound`.

    Gaussian noise goes with Euclidean norms and needs a delta; Laplace noise goes with absolute
    sums and has delta 0. Neither is hardened against floating-point attacks (Mironov 2012).

    Reference: Balle and Wang 2018, arXiv 1805.06530, theorem 8 (Gaussian); Dwork and Roth 2014,
    The Algorithmic Foundations of Differential Privacy, theorem 3.6 (Laplace).
    """

    name: MechanismName
    epsilon: float
    delta: float
    bound: float

    @property
    def order(self) -> int:
        """The order of the norm used for clipping."""
        return 2 if self.name == "gaussian" else 1

    @property
    def scale(self) -> float:
        """The noise's standard deviation (Gaussian) or mean size (Laplace) in each column."""
        if self.name == "laplace":
            return 2 * self.bound / self.epsilon
        return 2 * self.bound / largest_separation(self.epsilon, self.delta)

    def reach(self, level: float) -> float:
        """Half the width of the central interval that contains the noise with that probability."""
        law = norm if self.name == "gaussian" else laplace
        return float(law.ppf(0.5 + level / 2) * self.scale)

    def released(self, queries: int) -> Gaussian | Pure:
        """Returns `queries` releases as the privacy ledger composes them."""
        if self.name == "gaussian":
            return Gaussian(self.scale / (2 * self.bound), queries)
        return Pure("Laplace", self.epsilon, queries)

    def noise(self, rows: Array, seed: int | bytes) -> Array:
        """Noise [R, n, d] for the queried rows [R, n, d], computed instead of stored.

        Equal queries get equal noise, whichever others accompany them, so repeating a query
        averages nothing out. Bytes are a secret key: without it, the noise of one query reveals
        nothing about that of another.
        """
        out = np.empty(rows.shape)
        for r, of_replicate in enumerate(rows):
            for i, row in enumerate(of_replicate):
                if isinstance(seed, bytes):
                    out[r, i] = self._keyed(seed, r, row)
                    continue
                digest = blake2b(np.ascontiguousarray(row).tobytes(), digest_size=8).digest()
                rng = np.random.default_rng((seed, r, int.from_bytes(digest, "big")))
                draw = rng.standard_normal if self.name == "gaussian" else _laplace(rng)
                out[r, i] = draw(len(row))
        return self.scale * out

    def _keyed(self, key: bytes, replicate: int, row: Array) -> Array:
        """Unscaled noise [d] for a query, from an extendable hash of key and query."""
        question = key + replicate.to_bytes(4, "big") + np.ascontiguousarray(row).tobytes()
        u = uniforms(shake_256(question).digest(16 * len(row)))
        if self.name == "gaussian":
            return normals(u)
        return np.asarray(laplace.ppf(u[: len(row)]))


def _laplace(rng: np.random.Generator) -> Callable[[int], Array]:
    return lambda d: rng.laplace(size=d)
