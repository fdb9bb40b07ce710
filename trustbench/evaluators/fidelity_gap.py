"""Whether released explanations are equally true for all groups."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field

from trustbench.aspects import Aspect
from trustbench.contracts import Array, Evaluator, Measured, Measurement, System
from trustbench.explanations.lime_surrogate import Lime, Stream, released_score
from trustbench.explanations.targets import Target
from trustbench.groups import Chance, by_chance, means, sizes


class Sample(NamedTuple):
    """Test rows drawn for the comparison, and the share of the test set each group has."""

    rows: Array  # int64 [n]
    group: Array  # int64 [n], renumbered over the groups kept
    share: Array  # [G]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class FidelityGap(Evaluator):
    """How much less faithful explanations are for the worst-served group.

    A released attribution is read as a local linear surrogate; its fidelity at a row is its R2
    on fresh perturbations of the explained logit margin (the best intercept is granted). `gap`
    is the fidelity of everybody less that of the worst group; `gap_permuted` is the same after
    groups are reassigned at random (mean of `permutations`), which is what chance alone gives.

    Up to `points` test rows are drawn, as many from each of the `max_groups` largest groups;
    everybody's fidelity weighs groups by their share of the test set. See `Lime` for the fields
    that describe the perturbations: they should be those of the released method.

    Reference: Balagopalan et al. 2022, arXiv 2205.03295, section 3 (maximum fidelity gap).
    """

    points: Annotated[int, Field(ge=10)] = 120
    max_groups: Annotated[int, Field(ge=2)] = 10
    min_group: Annotated[int, Field(ge=5)] = 20
    samples: Annotated[int, Field(ge=20)] = 300
    patch_samples: Annotated[int, Field(ge=20)] = 200
    sigma: Annotated[float, Field(ge=0)] = 0.0
    target: Target = "margin"
    permutations: Annotated[int, Field(ge=20)] = 100

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect | None] = Aspect.FAIRNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "explainer"})
    reference: ClassVar[str] = "Balagopalan et al. 2022, arXiv 2205.03295"

    def supports(self, system: System) -> str | None:
        """None, or that there are no explanations or fewer than two large groups to compare."""
        if system.explainer is None:
            return "needs released explanations (intervention=lime)"
        if len(self._kept(system)) < 2:
            return f"needs 2 groups of {self.min_group} test rows"
        return None

    def measure(self, system: System) -> Measured:
        """`gap` and its null, and the mean fidelity as a diagnostic."""
        sample = self._sample(system)
        fidelity = self._fidelity(system, sample)
        facts = {
            "points": len(sample.rows),
            "dropped": int(np.isnan(fidelity).sum()),
            "left_out": ", ".join(sample.left_out) or None,
            "samples": self.samples,
            "permutations": self.permutations,
        }
        arrays = {"rows": sample.rows, "r2": fidelity}
        found = self._gaps(system, sample, fidelity)
        if found is None:
            reason = "the explained output is constant around every row of some group"
            missing = dict.fromkeys(("gap", "gap_permuted"), reason)
            return Measured((), arrays=arrays, facts=facts, missing=missing)
        return Measured(
            (
                _measurement("gap", found.gap, len(sample.rows)),
                replace(
                    _measurement(
                        "gap_permuted", found.chance.null, len(sample.rows), diagnostic=True
                    ),
                    common_sd=found.chance.common_sd,
                ),
                _measurement("fidelity", found.everybody, len(sample.rows), diagnostic=True),
            ),
            arrays=arrays,
            facts=facts,
        )

    def _gaps(self, system: System, sample: Sample, fidelity: Array) -> "_Gaps | None":
        """Numbers of every replicate over the rows that have an R2; None if a group has none."""
        n_groups = len(sample.share)

        def by_group(order: Array) -> Array:
            """Mean fidelity [R, G] with the groups of the rows reordered."""
            group = sample.group[order]
            rows = [(row[~np.isnan(row)], group[~np.isnan(row)]) for row in fidelity]
            return np.stack([means(values, g, n_groups) for values, g in rows])

        def statistic(order: Array) -> Array:
            each = by_group(order)
            return np.asarray(each @ sample.share - each.min(axis=-1))

        here = np.arange(len(sample.rows))
        if np.isnan(by_group(here)).any():
            return None
        rng = system.streams.numpy("controls")
        chance = by_chance(statistic, len(here), rng, self.permutations)
        return _Gaps(statistic(here), by_group(here) @ sample.share, chance)

    def _kept(self, system: System) -> Array:
        """The largest groups with enough test rows, in order of their number."""
        count = sizes(system.problem.rows("test")[2], len(system.problem.groups))
        largest = np.argsort(-count, kind="stable")[: self.max_groups]
        return np.sort(largest[count[largest] >= self.min_group])

    def _sample(self, system: System) -> Sample:
        group = system.problem.rows("test")[2]
        kept = self._kept(system)
        order = system.streams.numpy("explanations", Stream.POINTS).permutation(len(group))
        each = max(1, self.points // len(kept))
        chosen = [order[group[order] == g][:each] for g in kept]
        count = np.array([(group == g).sum() for g in kept], dtype=np.float64)
        return Sample(
            rows=np.concatenate(chosen),
            group=np.repeat(np.arange(len(kept)), [len(c) for c in chosen]),
            share=count / count.sum(),
            left_out=tuple(g for i, g in enumerate(system.problem.groups) if i not in kept),
        )

    def _fidelity(self, system: System, sample: Sample) -> Array:
        """R2 of each released attribution, [R, n]."""
        lime = Lime(self.samples, self.patch_samples, self.sigma, self.target)
        area = lime.neighbourhood(system)
        X = system.tensor(system.problem.rows("test")[0][sample.rows])
        coefficients = area.collect(system.explain(X)).double()
        scores, start = [], 0
        for draws, targets in lime.draws(system, area, X, Stream.FRESH):
            stop = start + targets.shape[1]
            scores.append(released_score(draws, targets, coefficients[:, start:stop]))
            start = stop
        return np.asarray(torch.cat(scores, dim=1).cpu().numpy())


class _Gaps(NamedTuple):
    gap: Array  # [R]
    everybody: Array  # [R]
    chance: Chance


def _measurement(name: str, values: Array, n: int, diagnostic: bool = False) -> Measurement:
    better = name == "fidelity"
    upper = 1.0 if better else None
    return Measurement(name, values, better, "R2", n, upper=upper, diagnostic=diagnostic)
