"""Beyond pairs: main effects and interactions of a list of methods, from all their subsets.

With k methods there are 2^k arms. A contrast is a signed sum of arms, taken replicate by replicate,
so its interval is paired like every other.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, combinations

from trustbench.contracts.aspects import Aspect
from trustbench.summary.stats.effects import FDR, Verdict, not_measured
from trustbench.summary.stats.multiplicity import benjamini_hochberg
from trustbench.summary.stats.nulls import Side
from trustbench.summary.stats.series import Series
from trustbench.summary.stats.verdicts import claim_p, judge
from trustbench.summary.table.contrasts import overlap_of, side
from trustbench.summary.table.estimates import Estimator
from trustbench.summary.table.grouping import ArmRecords
from trustbench.summary.table.registry import Measure
from trustbench.summary.table.results import UTILITY, FactorialContrast, FactorialResult

Subset = frozenset[str]
EXCESS = "more than the sum"
"""The kind of contrast for the cost of a combination beyond the sum of its parts."""


@dataclass(frozen=True)
class _Cube:
    """The arms of all subsets of the factors, in one regime."""

    regime: str
    factors: tuple[str, ...]
    arms: Mapping[Subset, ArmRecords]


def factorials(estimator: Estimator) -> tuple[FactorialResult, ...]:
    """The largest complete design of each regime, with two factors or more; usually none.

    Reference: Box, Hunter and Hunter 2005, Statistics for Experimenters, chapter 5.
    """
    found = (
        _largest(estimator, regime) for regime in sorted({a.regime for a in estimator.group.arms})
    )
    results = [_result(estimator, cube) for cube in found if cube is not None]
    return tuple(r for r in results if r.contrasts)


def _largest(estimator: Estimator, regime: str) -> _Cube | None:
    arms: dict[Subset, ArmRecords] = {}
    doubled: set[Subset] = set()
    for arm in estimator.group.arms:
        if arm.regime != regime or arm.control != "none":
            continue
        names = frozenset(i.name for i in arm.interventions)
        if names in arms:  # several doses: the level of the factor is ambiguous
            doubled.add(names)
        arms.setdefault(names, arm)
    for names in sorted(arms, key=lambda s: (-len(s), sorted(s))):
        below = [frozenset(s) for s in _subsets(sorted(names))]
        if len(names) >= 2 and all(s in arms and s not in doubled for s in below):
            return _Cube(regime, tuple(sorted(names)), {s: arms[s] for s in below})
    return None


def _subsets(names: Collection[str]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, k) for k in range(len(names) + 1))


def _result(estimator: Estimator, cube: _Cube) -> FactorialResult:
    found: list[FactorialContrast] = []
    absent: dict[str, str] = {}
    for target, measure in _measures(estimator, cube.regime):
        sides = _sides(estimator, cube, measure.metric)
        if isinstance(sides, Verdict):
            absent[target] = sides.sentence
        else:
            found += _contrasts(sides, cube, target, measure)
    adjusted = benjamini_hochberg([claim_p(c.effect, c.beyond_chance) for c in found])
    judged = [
        replace(
            c,
            p_adjusted=p,
            verdict=judge(c.effect, c.delta, p, alpha=FDR, beyond_chance=c.beyond_chance),
        )
        for c, p in zip(found, adjusted, strict=True)
    ]
    return FactorialResult(cube.regime, cube.factors, tuple(judged), absent)


def _measures(estimator: Estimator, regime: str) -> Iterator[tuple[str, Measure]]:
    """The columns of this regime, and utility."""
    measures = {t.value: estimator.table.columns[t].on(estimator.binary) for t in Aspect}
    measures[UTILITY] = estimator.table.utility
    yield from ((t, m) for t, m in measures.items() if m.regime == regime or t == UTILITY)


def _contrasts(
    sides: Mapping[Subset, Side], cube: _Cube, target: str, measure: Measure
) -> Iterator[FactorialContrast]:
    """Main effects, interactions, and the whole against the sum of its parts, for one metric."""
    overlap = overlap_of(cube.arms[frozenset()])
    harms = {names: s.harm for names, s in sides.items()}
    by_groups = all(s.null is not None for s in sides.values())
    excess = {names: s.excess for names, s in sides.items()} if by_groups else None
    for kind, some in _kinds(cube):
        yield FactorialContrast(
            target,
            measure.metric,
            some,
            kind,
            _contrast(harms, cube, kind, some).effect(overlap),
            measure.delta,
            beyond_chance=_contrast(excess, cube, kind, some).effect(overlap) if excess else None,
        )


def _sides(estimator: Estimator, cube: _Cube, metric: str) -> dict[Subset, Side] | Verdict:
    """The metric of every arm over the same replicates, or why one of them has none."""
    sides: dict[Subset, Side] = {}
    for names, arm in cube.arms.items():
        found = estimator.voided(metric, arm) or side(
            arm, sorted(arm.records), metric, estimator.group.evaluations, arm.label
        )
        if isinstance(found, Verdict):
            return found
        sides[names] = found
    seeds = {tuple(sorted(arm.records)) for arm in cube.arms.values()}
    sizes = {tuple(len(m.values) for m in s.found) for s in sides.values()}
    if len(seeds) > 1 or len(sizes) > 1 or sum(next(iter(sizes))) < 2:
        return not_measured("the same 2 or more replicates in every arm")
    return sides


def _kinds(cube: _Cube) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(kind, methods) of every contrast."""
    for some in _subsets(cube.factors):
        if some:
            yield ("main effect" if len(some) == 1 else "interaction"), some
    yield EXCESS, cube.factors


def _contrast(y: Mapping[Subset, Series], cube: _Cube, kind: str, some: tuple[str, ...]) -> Series:
    """A kind of contrast of the arms' values, [n]."""
    return _beyond_the_sum(y, cube) if kind == EXCESS else _crossed(y, cube, some)


def _beyond_the_sum(y: Mapping[Subset, Series], cube: _Cube) -> Series:
    """The effect of all methods together beyond the sum of their effects."""
    none = frozenset[str]()
    total = y[frozenset(cube.factors)] + (len(cube.factors) - 1.0) * y[none]
    for factor in cube.factors:
        total -= y[frozenset({factor})]
    return total


def _crossed(y: Mapping[Subset, Series], cube: _Cube, some: tuple[str, ...]) -> Series:
    """Differences in every factor of `some`, averaged over the settings of all others."""
    settings = list(_subsets([f for f in cube.factors if f not in some]))
    total = 0.0 * next(iter(y.values()))
    for others in settings:
        for on in _subsets(some):
            sign = (-1.0) ** (len(some) - len(on)) / len(settings)
            total += sign * y[frozenset(others) | frozenset(on)]
    return total
