"""The effect of fewer calibration rows on prediction sets, with one threshold or one per group."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import (
    PERMUTED,
    Access,
    Array,
    Evaluator,
    Fact,
    Measured,
    Measurement,
    Metric,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods import conformal
from trustbench.methods.conformal.redraws import Redraw, ScoredRows, evaluate, redraw
from trustbench.methods.group_nulls import Chance, with_null

# Random groupings of all rows, if there are enough draws; each serves its share of them.
GROUPINGS = 10
SIZES = ("marginal_size", "mondrian_size")
GAPS = ("marginal_coverage_gap", "mondrian_coverage_gap")
OVERALL = ("coverage_sd", "breach", "mondrian_coverage_sd", "mondrian_breach")


@dataclass(frozen=True)
class SmallCalibration(Evaluator):
    """Sets calibrated on few rows, drawn `draws` times, for each number of rows in `sizes`.

    Each draw takes n rows at random from the calibration pool and the test split together; the
    others are its test rows. Every draw is therefore a fair split, and the behaviour of marginal
    sets is known: covered rows are Beta-binomial for any model.

    For each n: `coverage_sd_<n>` and `breach_<n>`, the standard deviation of coverage over
    draws and P(coverage < 1 - `alpha`), of marginal sets, and `mondrian_*` of sets with a
    threshold for each group; all for the first of `scores` (their theory is in the facts, as
    `coverage_sd_expected_<n>` and `breach_expected_<n>`). For each score and n: the mean size
    (`marginal_size_<score>_<n>`, `mondrian_size_<score>_<n>`) and the mean over draws of the
    coverage gap between groups of at least `min_group` rows (`marginal_coverage_gap_*`,
    `mondrian_coverage_gap_*`). A group without enough calibration rows for a threshold gets
    all labels. Each gap stands beside its null, `<name>_permuted`: that of random groups of the
    same sizes, which get thresholds of their own as the groups do.

    Reference: Romano et al. 2020, arXiv 1908.05428; Angelopoulos and Bates 2021, arXiv
    2107.07511, section 3.2 and appendix C.
    """

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    scores: Annotated[tuple[conformal.Score, ...], Field(min_length=1)] = ("aps", "lac")
    sizes: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1)] = (
        100,
        1000,
        4000,
    )
    draws: Annotated[int, Field(ge=2)] = 100
    min_group: Annotated[int, Field(ge=1)] = 20

    version: ClassVar[int] = 4
    aspect: ClassVar[Aspect | None] = Aspect.UNCERTAINTY
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits"})
    no_interval: ClassVar[str] = (
        "describes how sets vary with the rows that calibrate them, and an interval over test rows "
        "would not"
    )
    reference: ClassVar[str] = "Romano et al. 2020, arXiv 1908.05428"
    metrics = (
        fraction(
            "<|mondrian_>coverage_sd_<n>",
            "How much coverage depends on which rows calibrate the sets, at this number of rows.",
            better="lower",
        ),
        fraction(
            "<|mondrian_>breach_<n>",
            "How often sets calibrated on this number of rows hold the true label too rarely.",
            better="lower",
        ),
        Metric(
            "<marginal|mondrian>_size_<score>_<n>",
            "How many labels a set holds when this number of rows calibrates it.",
            "labels",
            better="lower",
            lower=0.0,
            upper="number of labels",
        ),
        fraction(
            "<marginal|mondrian>_coverage_gap_<score>_<n>",
            "How much more often one group's sets hold the true label than another's, when this "
            "number of rows calibrates them.",
            better="lower",
            null=PERMUTED,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        pool = len(system.problem.splits["calibration"])
        if min(self.sizes) > pool:
            return f"the calibration pool has {pool} rows, fewer than sizes={list(self.sizes)}"
        return None

    @override
    def measure(self, system: System) -> Measured:
        pool = len(system.problem.splits["calibration"])
        found: list[Measurement] = []
        missing: dict[str, str] = {}
        facts: dict[str, Fact] = {"alpha": self.alpha, "draws": self.draws, "score": self.scores[0]}
        rows = {score: _rows(system, score) for score in self.scores}
        regrouped = {score: self._regrouped(system, own) for score, own in rows.items()}
        first = rows[self.scores[0]]
        for n in dict.fromkeys(self.sizes):
            reason = conformal.too_few_rows(self.alpha, n)
            if n > pool:
                reason = f"{n} is more than the {pool} rows of the calibration pool"
            if reason is not None:
                missing |= dict.fromkeys(self._names(n), reason)
                continue
            chosen = [self._drawn(system, r, n, own.group) for r, own in enumerate(first)]
            gaps = self._by_chance(regrouped, chosen, n)
            measured = self._measured(rows, chosen, n, len(system.problem.classes))
            for m in measured:
                found += with_null(m, gaps[m.name]) if m.name in gaps else [m]
            if not all(c.comparable for c in chosen):
                reason = f"needs 2 groups of {self.min_group} rows in every draw"
                missing |= dict.fromkeys(self._by_score(GAPS, n), reason)
            left = len(first[0].group) - n
            theory = conformal.coverage_variation(n, left, self.alpha)
            facts |= {f"coverage_sd_expected_{n}": theory.sd, f"breach_expected_{n}": theory.breach}
        return Measured(tuple(found), facts=facts, missing=missing)

    def _drawn(self, system: System, r: int, n: int, group: Array) -> Redraw:
        rng = system.streams.numpy("calibration", "redraws", r, n)
        rows = [rng.choice(len(group), n, replace=False, shuffle=False) for _ in range(self.draws)]
        return redraw(np.stack(rows), group, self.min_group)

    def _names(self, n: int) -> list[str]:
        return [*(f"{name}_{n}" for name in OVERALL), *self._by_score((*SIZES, *GAPS), n)]

    def _by_score(self, names: tuple[str, ...], n: int) -> list[str]:
        return [f"{name}_{score}_{n}" for score in self.scores for name in names]

    def _measured(
        self,
        rows: dict[conformal.Score, list[ScoredRows]],
        chosen: list[Redraw],
        n: int,
        classes: int,
    ) -> Iterator[Measurement]:
        for score, replicates in rows.items():
            pairs = zip(replicates, chosen, strict=True)
            each = [evaluate(own, drawn, self.alpha) for own, drawn in pairs]
            kinds = {
                "marginal": [e.marginal for e in each],
                "mondrian": [e.mondrian for e in each],
            }
            left = len(replicates[0].group) - n
            if score == self.scores[0]:
                for prefix, kind in (("", "marginal"), ("mondrian_", "mondrian")):
                    coverage = np.stack([k.coverage for k in kinds[kind]])  # [R, draws]
                    # 1e-12: exactly 1 - alpha is not a breach.
                    breach = (coverage < 1 - self.alpha - 1e-12).mean(axis=1)
                    sd = coverage.std(axis=1, ddof=1)
                    yield self.measurement(f"{prefix}coverage_sd_{n}", sd, left)
                    yield self.measurement(f"{prefix}breach_{n}", breach, left)
            for name, outcomes in kinds.items():
                size = np.array([o.size.mean() for o in outcomes])
                gap = np.array([o.coverage_gap.mean() for o in outcomes])
                top = float(classes)
                yield self.measurement(f"{name}_size_{score}_{n}", size, left, upper=top)
                if all(c.comparable for c in chosen):
                    yield self.measurement(f"{name}_coverage_gap_{score}_{n}", gap, left)

    def _by_chance(
        self, regrouped: dict[conformal.Score, list[list[ScoredRows]]], chosen: list[Redraw], n: int
    ) -> dict[str, Chance]:
        """The coverage gaps of these draws under random groups; each grouping serves its share."""
        out = {}
        for score, groupings in regrouped.items():
            draws = [
                [
                    self._gaps(own, drawn.rows[b :: len(groupings)])
                    for own, drawn in zip(g, chosen, strict=True)
                ]
                for b, g in enumerate(groupings)
            ]
            found = np.array(draws)  # [groupings, R, 2]
            if not np.isnan(found).any():
                for k, name in enumerate(("marginal", "mondrian")):
                    of = found[..., k]
                    out[f"{name}_coverage_gap_{score}_{n}"] = Chance(of.mean(0), of.mean(1))
        return out

    def _regrouped(self, system: System, rows: list[ScoredRows]) -> list[list[ScoredRows]]:
        """The rows of all replicates under random groups of the same sizes, by grouping."""
        rng = system.streams.numpy("controls", "groups")
        orders = [rng.permutation(len(rows[0].group)) for _ in range(min(GROUPINGS, self.draws))]
        return [[replace(own, group=own.group[order]) for own in rows] for order in orders]

    def _gaps(self, own: ScoredRows, rows: Array) -> tuple[float, float]:
        """Mean gaps, marginal and by group, over the draws that leave two groups; or NaN."""
        drawn = redraw(rows, own.group, self.min_group)
        kept = drawn.compared.sum(axis=1) >= 2
        if not kept.any():
            return float("nan"), float("nan")
        found = evaluate(own, drawn, self.alpha)
        marginal, mondrian = (o.coverage_gap[kept].mean() for o in (found.marginal, found.mondrian))
        return float(marginal), float(mondrian)


def _rows(system: System, score: conformal.Score) -> list[ScoredRows]:
    """The scores of all rows that can be drawn, for each replicate."""
    problem = system.problem
    both = np.concatenate([problem.splits["calibration"], problem.splits["test"]])
    logits = torch.cat([system.split_logits("calibration"), system.split_logits("test")], dim=1)
    u = conformal.uniforms(system, len(both), conformal.REDRAWING)
    labels = conformal.SCORES[score](logits.double().softmax(-1), u).cpu().numpy()
    return [ScoredRows(own, problem.y[both], problem.group[both]) for own in labels]
