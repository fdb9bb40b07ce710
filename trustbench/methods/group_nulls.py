"""Extremes and gaps over groups under chance: their null distribution, and metrics beside it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from trustbench.contracts import Array, Measurement, System
from trustbench.methods.groups import gap, means_by, shares_by_chance, sizes

PERMUTATIONS = 100
"""Default number of random reassignments behind a null."""
BUDGET = 4_000_000
"""Maximum number of values in one batch of reassignments."""


class Chance(NamedTuple):
    """A statistic when groups mean nothing."""

    null: Array  # [R], each replicate's mean over permutations
    draws: Array  # [K], the mean over replicates under each permutation

    @property
    def common_sd(self) -> float:
        """Standard deviation over permutations of the mean over replicates."""
        return float(self.draws.std(ddof=1))


Statistics = Callable[[Array], Mapping[str, Array]]
"""Maps K groupings of the same rows, int64 [K, n], to the statistics of each, {name: [K, R]}."""


@dataclass(frozen=True)
class OfShares:
    """Statistics of the share of rows in each group that have a property.

    Args:
        has: whether a row has it, bool [R, n].
        n_groups: G, the number of groups.
        of: maps shares [K, R, S, G] to the statistics, {name: [K, R]}.
        side: int64 [n] below S; the shares are those of the rows of each side of a group. None:
            all rows are on one side.
    """

    has: Array
    n_groups: int
    of: Callable[[Array], Mapping[str, Array]]
    side: Array | None = None

    def __call__(self, groups: Array) -> Mapping[str, Array]:
        """The statistics of K groupings of the rows, int64 [K, n]."""
        shares = [
            means_by(self.has[:, rows], groups[:, rows], self.n_groups) for rows in self._sides()
        ]
        return self.of(np.stack(shares, axis=2))

    def by_chance(
        self, group: Array, rng: np.random.Generator, permutations: int
    ) -> dict[str, Chance]:
        """The same under random groupings that keep the sizes of every side of a group.

        Each replicate has random groupings of its own. Only numbers of rows are drawn, so the time
        does not depend on the number of rows.
        """
        shares = []
        for rows in self._sides():
            count, having = sizes(group[rows], self.n_groups), self.has[:, rows].sum(axis=1)
            shares.append(np.moveaxis(shares_by_chance(count, having, permutations, rng), -1, 0))
        # groups first in memory: extremes over them are then fast
        found = self.of(np.stack(shares, axis=1).transpose(2, 3, 1, 0))
        return {name: Chance(v.mean(axis=0), v.mean(axis=1)) for name, v in found.items()}

    def _sides(self) -> list[Array]:
        if self.side is None:
            return [np.arange(self.has.shape[1])]
        return [np.flatnonzero(self.side == value) for value in range(int(self.side.max()) + 1)]


def observed(statistics: Statistics, group: Array) -> dict[str, Array]:
    """The statistics [R] of one grouping, int64 [n]."""
    return {name: values[0] for name, values in statistics(group[None]).items()}


def by_chance(
    statistics: Statistics,
    group: Array,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
    *,
    within: Array | None = None,
) -> dict[str, Chance]:
    """Computes statistics of R replicates over random reassignments of the rows to groups.

    Every reassignment keeps the group sizes. Replicates share the test rows and hence each
    permutation. Whether one grouping of these rows looks unequal is a single draw, whose spread
    more replicates cannot average out.

    Args:
        statistics: computes the statistics of a grouping.
        group: the group of each row, int64 [n].
        rng: draws the permutations, the same for all replicates.
        permutations: the number of permutations.
        within: int64 [n]; rows are exchanged only with rows of the same value, so that each
            group keeps its number of rows of every value. None: with all rows.
    """
    strata = np.zeros(len(group), dtype=np.int64) if within is None else within
    alike = [np.flatnonzero(strata == value) for value in np.unique(strata)]
    at_once = max(1, BUDGET // (len(group) * (int(group.max(initial=0)) + 1)))
    found: dict[str, list[Array]] = {}
    for start in range(0, permutations, at_once):
        count = min(at_once, permutations - start)
        drawn = np.stack([_shuffled(group, alike, rng) for _ in range(count)])
        for name, values in statistics(drawn).items():
            found.setdefault(name, []).append(values)
    whole = {name: np.concatenate(parts) for name, parts in found.items()}
    return {name: Chance(v.mean(axis=0), v.mean(axis=1)) for name, v in whole.items()}


def _shuffled(group: Array, alike: list[Array], rng: np.random.Generator) -> Array:
    """Shuffles the group labels within each stratum, a list of rows."""
    out = np.empty_like(group)
    for rows in alike:
        out[rows] = group[rng.permutation(rows)]
    return out


def against_chance(
    build: Callable[[str, Array], Measurement],
    statistics: Statistics,
    group: Array,
    system: System,
    permutations: int = PERMUTATIONS,
    *,
    within: Array | None = None,
) -> Iterator[Measurement]:
    """Returns each statistic of a grouping as a measurement, followed by its null.

    The null is a diagnostic called `<name>_permuted`: the mean over random groups of the same
    sizes. All metrics and arms with the same rows use the same random groups. Where replicates are
    draws of the rows themselves, as in the audit of a given model, shares have random groups of
    their own in each.

    Args:
        build: makes the measurement of a name and its values [R].
        statistics: computes the statistics of a grouping.
        group: the group of each row, int64 [n].
        system: its stream `controls` draws the random groups.
        permutations: the number of permutations.
        within: as in `by_chance`.
    """
    rng = system.streams.numpy("controls", "groups")
    if isinstance(statistics, OfShares) and "replicates" not in system.access:
        chance = statistics.by_chance(group, rng, permutations)
    else:
        chance = by_chance(statistics, group, rng, permutations, within=within)
    for name, values in observed(statistics, group).items():
        yield from with_null(build(name, values), chance[name])


def worst_and_gap(
    build: Callable[[str, Array], Measurement],
    names: tuple[str, str],
    rows: Array,
    group: Array,
    large: Array,
    system: System,
) -> Iterator[Measurement]:
    """The smallest mean of a group and the gap between groups, called `names`, with their nulls.

    `rows` [R, n] are averaged within the groups that are `large`, bool [G].
    """
    kept = large[group]

    def statistics(groups: Array) -> dict[str, Array]:
        rates = means_by(rows[:, kept], groups, len(large))[..., large]
        return dict(zip(names, (rates.min(axis=-1), gap(rates)), strict=True))

    return against_chance(build, statistics, group[kept], system)


def with_null(m: Measurement, chance: Chance) -> tuple[Measurement, Measurement]:
    """Returns a measurement that names its null, and the null."""
    null = Measurement(
        f"{m.name}_permuted", chance.null, m.higher_is_better, m.unit, m.n, m.lower, m.upper,
        diagnostic=True, common_sd=chance.common_sd, permuted=chance.draws,
    )  # fmt: skip
    return replace(m, null=null.name), null
