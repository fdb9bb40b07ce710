"""Redrawn rows for intervals: a bootstrap, stratified by group, in stacks that share their labels.

Evaluators measure R replicates on the same rows at once. A stack of K draws looks the same to them:
position i holds a row of the same class and group in every draw, so that K draws are K replicates.
The number of rows of each class within a group is itself drawn, once for each stack. A single draw
therefore has the distribution of the bootstrap that redraws the rows of each group.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trustbench.contracts import Array
from trustbench.execution.audit.answers import Answers

STACKS = 40
"""How often the number of rows of each class is drawn."""
EACH = 25
"""Draws in a stack."""
LEAST = 25
"""A group with fewer rows of some class keeps its number of rows of each class, as a draw with too
few would leave the group out of the metrics that compare error rates."""


@dataclass(frozen=True)
class Stack:
    """K draws: positions among the test rows and the member rows, int64 [K, n] and [K, m]."""

    test: Array
    members: Array

    def __len__(self) -> int:
        return len(self.test)


def identity(n: int, m: int) -> Stack:
    """The rows as they are, once."""
    return Stack(np.arange(n)[None], np.arange(m)[None])


def stacks(
    test: Answers, members: Answers, rng: np.random.Generator, count: int, each: int
) -> Iterator[Stack]:
    """Draws `count` stacks of `each` draws of the test rows and of the member rows."""
    strata = [_Strata(rows.y, rows.group) for rows in (test, members)]
    for _ in range(count):
        yield Stack(*(rows.draw(rng, each) for rows in strata))


class _Strata:
    """Rows by group and class."""

    def __init__(self, y: Array, group: Array) -> None:
        classes = int(y.max(initial=0)) + 1
        key = group * classes + y
        order = np.argsort(key, kind="stable")
        counts = np.bincount(key, minlength=(int(group.max(initial=0)) + 1) * classes)
        self.rows = np.split(order, np.cumsum(counts)[:-1])
        self.counts = counts.reshape(-1, classes)  # [G, C]

    def draw(self, rng: np.random.Generator, each: int) -> Array:
        """One stack, int64 [each, n]."""
        sizes = np.concatenate([self._sizes(rng, counts) for counts in self.counts])
        parts = [np.zeros((each, 0), dtype=np.int64)]
        parts += [
            rows[rng.integers(len(rows), size=(each, size))]
            for rows, size in zip(self.rows, sizes, strict=True)
            if size
        ]
        return np.concatenate(parts, axis=1)

    def _sizes(self, rng: np.random.Generator, counts: Array) -> Array:
        """How many rows of each class a group gets, [C]; as many in all as it has."""
        if counts[counts > 0].min(initial=LEAST) < LEAST:
            return counts
        return np.asarray(rng.multinomial(counts.sum(), counts / max(counts.sum(), 1)))
