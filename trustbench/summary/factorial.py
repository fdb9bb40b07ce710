"""Beyond pairs: main effects and interactions of a list of methods, from all their subsets.

With k methods there are 2^k arms. A contrast is a sum of arms with signs, taken replicate by
replicate, so its interval is paired like every other.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, combinations

from trustbench.aspects import Aspect
from trustbench.summary.contrasts import harm_of
from trustbench.summary.effects import FDR, Effect, Verdict, judge, not_measured, paired_effect
from trustbench.summary.estimates import Estimator
from trustbench.summary.grouping import ArmRecords
from trustbench.summary.multiplicity import benjamini_hochberg
from trustbench.summary.registry import Measure
from trustbench.summary.results import UTILITY, FactorialContrast, FactorialResult
from trustbench.summary.series import Series

Subset = frozenset[str]


@dataclass(frozen=True)
class _Cube:
    """The arms of all subsets of the factors, in one regime."""

    regime: str
    factors: tuple[str, ...]
    arms: Mapping[Subset, ArmRecords]


def factorials(of: Estimator) -> tuple[FactorialResult, ...]:
    """The largest complete design of each regime, with two factors or more; usually none.

    Reference: Box, Hunter and Hunter 2005, Statistics for Experimenters, chapter 5.
    """
    found = (_largest(of, regime) for regime in sorted({a.regime for a in of.group.arms}))
    results = [_result(of, cube) for cube in found if cube is not None]
    return tuple(r for r in results if r.contrasts)


def _largest(of: Estimator, regime: str) -> _Cube | None:
    arms: dict[Subset, ArmRecords] = {}
    doubled: set[Subset] = set()
    for arm in of.group.arms:
        if arm.regime != regime or arm.control != "none":
            continue
        names = frozenset(i.name for i in arm.interventions)
        if names in arms:  # several doses: which one is a level of the factor?
            doubled.add(names)
        arms.setdefault(names, arm)
    for names in sorted(arms, key=lambda s: (-len(s), sorted(s))):
        below = [frozenset(s) for s in _subsets(sorted(names))]
        if len(names) >= 2 and all(s in arms and s not in doubled for s in below):
            return _Cube(regime, tuple(sorted(names)), {s: arms[s] for s in below})
    return None


def _subsets(names: Collection[str]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, k) for k in range(len(names) + 1))


def _result(of: Estimator, cube: _Cube) -> FactorialResult:
    found: list[FactorialContrast] = []
    absent: dict[str, str] = {}
    for target, measure in _measures(of, cube.regime):
        y = _readings(of, cube, measure)
        if isinstance(y, Verdict):
            absent[target] = y.sentence
        else:
            found += _contrasts(y, cube, target, measure)
    adjusted = benjamini_hochberg([c.effect.p for c in found])
    judged = [
        replace(c, p_adjusted=p, verdict=judge(c.effect, c.delta, p, alpha=FDR))
        for c, p in zip(found, adjusted, strict=True)
    ]
    return FactorialResult(cube.regime, cube.factors, tuple(judged), absent)


def _measures(of: Estimator, regime: str) -> Iterator[tuple[str, Measure]]:
    """The columns of this regime, and utility."""
    measures = {t.value: of.table.columns[t].on(of.binary) for t in Aspect}
    measures[UTILITY] = of.table.utility
    yield from ((t, m) for t, m in measures.items() if m.regime == regime or t == UTILITY)


def _readings(of: Estimator, cube: _Cube, measure: Measure) -> dict[Subset, Series] | Verdict:
    """The metric of every arm, or why one of them has none."""
    y: dict[Subset, Series] = {}
    for names, arm in cube.arms.items():
        found = of.voided(measure.metric, arm) or harm_of(arm, measure.metric, of.group.evaluations)
        if isinstance(found, Verdict):
            return found
        y[names] = found
    if len({len(v) for v in y.values()}) > 1 or len(next(iter(y.values()))) < 2:
        return not_measured("the same 2 or more replicates in every arm")
    return y


def _contrasts(
    y: Mapping[Subset, Series], cube: _Cube, target: str, measure: Measure
) -> Iterator[FactorialContrast]:
    """Main effects, interactions, and the whole against the sum of its parts, for one metric."""

    def effect(series: Series) -> Effect:
        return paired_effect(series.independent, series.pools)

    for some in _subsets(cube.factors):
        if some:
            kind = "main effect" if len(some) == 1 else "interaction"
            yield FactorialContrast(
                target, measure.metric, some, kind, effect(_contrast(y, cube, some)), measure.delta
            )
    none, every = frozenset[str](), frozenset(cube.factors)
    excess = y[every] - y[none]
    for factor in cube.factors:
        excess -= y[frozenset({factor})] - y[none]
    yield FactorialContrast(
        target, measure.metric, cube.factors, "more than the sum", effect(excess), measure.delta
    )


def _contrast(y: Mapping[Subset, Series], cube: _Cube, some: tuple[str, ...]) -> Series:
    """Differences in every factor of `some`, averaged over the settings of all others, [n]."""
    settings = list(_subsets([f for f in cube.factors if f not in some]))
    total = 0.0 * next(iter(y.values()))
    for others in settings:
        for on in _subsets(some):
            sign = (-1.0) ** (len(some) - len(on)) / len(settings)
            total += sign * y[frozenset(others) | frozenset(on)]
    return total
