"""Whether released explanations are equally faithful for all groups."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import (
    PERMUTED,
    Access,
    Array,
    Evaluator,
    Measured,
    Measurement,
    Metric,
    RowRedraw,
    System,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.lime_surrogate import Lime, Stream, released_score
from trustbench.methods.explanations.targets import Target
from trustbench.methods.group_nulls import against_chance
from trustbench.methods.groups import means_by, sizes


class Sample(NamedTuple):
    """Test rows drawn for the comparison, and each group's share of the test set."""

    rows: Array  # int64 [n]
    group: Array  # int64 [n], renumbered over the groups kept
    share: Array  # [G]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class FidelityGap(Evaluator):
    """How much less faithful explanations are for the worst-served group.

    A released attribution is read as a local linear surrogate; its fidelity at a row is its R2 on
    fresh perturbations of the explained logit margin (with the best intercept). `gap` is the
    fidelity over all rows minus that of the worst group; `gap_permuted` is the same after groups
    are reassigned at random (mean of `permutations`), which is the effect of chance alone.

    Up to `points` test rows are drawn, equally many from each of the `max_groups` largest groups;
    the fidelity over all rows weights groups by their share of the test set. See `Lime` for the
    fields that describe the perturbations: they should be those of the released method.

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

    version: ClassVar[int] = 4
    aspect: ClassVar[Aspect | None] = Aspect.FAIRNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "explainer"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries"})
    reference: ClassVar[str] = "Balagopalan et al. 2022, arXiv 2205.03295"
    metrics = (
        Metric(
            "gap",
            "How much less true explanations are for the worst-served group than on the whole.",
            "R2",
            better="lower",
            null=PERMUTED,
        ),
        Metric(
            "fidelity",
            "How well explanations predict the model near the rows that they explain.",
            "R2",
            better="higher",
            upper=1.0,
            diagnostic=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if system.explainer is None:
            return "needs released explanations (intervention=lime)"
        if len(self._kept(system)) < 2:
            return f"needs 2 groups of {self.min_group} test rows"
        return None

    @override
    def measure(self, system: System) -> Measured:
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
        if np.isnan(_by_group(fidelity, sample.group[None], len(sample.share))).any():
            reason = "the explained output is constant around every row of some group"
            missing = dict.fromkeys(("gap", "gap_permuted"), reason)
            return Measured((), arrays=arrays, facts=facts, missing=missing)

        def redrawn(drawn: Mapping[str, Array], _: Array, group: Array) -> Measured:
            return self._summary(system, sample._replace(group=group), drawn["r2"])

        y = system.problem.rows("test")[1][sample.rows]
        return replace(
            self._summary(system, sample, fidelity),
            arrays=arrays,
            facts=facts,
            redraw=RowRedraw.of({"r2": fidelity}, y, sample.group, redrawn),
        )

    def _summary(self, system: System, sample: Sample, fidelity: Array) -> Measured:
        """The gap with its null, and the mean."""
        mean = self.measurement("fidelity", over_all_rows(sample, fidelity), len(sample.rows))
        return Measured((*self._gaps(system, sample, fidelity), mean))

    def _gaps(self, system: System, sample: Sample, fidelity: Array) -> Iterator[Measurement]:
        """The gap and its null, over the rows that have an R2; each group has some."""

        def statistics(groups: Array) -> dict[str, Array]:
            each = _by_group(fidelity, groups, len(sample.share))
            # a random group may have no row with an R2: the others are then compared
            share = np.where(np.isnan(each), 0.0, sample.share)
            mean = np.nansum(each * share, axis=-1) / share.sum(axis=-1)
            return {"gap": mean - np.nanmin(each, axis=-1)}

        build = partial(self.measurement, n=len(sample.rows))
        return against_chance(build, statistics, sample.group, system, self.permutations)

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


def _by_group(fidelity: Array, groups: Array, n_groups: int) -> Array:
    """Mean R2 [K, R, G] of the rows that have one, [R, n] under groups [K, n]."""
    known = ~np.isnan(fidelity)
    total = means_by(np.where(known, fidelity, 0.0), groups, n_groups)
    share = means_by(known, groups, n_groups)
    out = np.full(total.shape, np.nan)
    np.divide(total, share, out=out, where=share > 0)
    return out


def over_all_rows(sample: Sample, fidelity: Array) -> Array:
    """Mean fidelity [R], groups weighted by their share of the test set.

    Redrawn rows may leave a group without an R2: the others then count alone.
    """
    each = _by_group(fidelity, sample.group[None], len(sample.share))[0]
    known = ~np.isnan(each)
    if known.all():
        return np.asarray(each @ sample.share)
    return np.asarray(np.nansum(each * sample.share, axis=1) / (known @ sample.share))
