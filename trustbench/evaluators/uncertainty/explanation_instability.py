"""How much of a released explanation changes if the same query is repeated (E -> U)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import (
    Access,
    Array,
    Evaluator,
    Measured,
    Metric,
    RowRedraw,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.saliency import overlap, top
from trustbench.methods.explanations.lime_surrogate import Lime, Stream
from trustbench.methods.explanations.released import explained_points

# `repeat` indices of the evaluator's own LIME, separate from all other draws.
FIRST, SECOND = 101, 102


@dataclass(frozen=True)
class ExplanationInstability(Evaluator):
    """1 minus the share of top columns that two answers to the same query have in common.

    `instability` queries the released method twice with different random numbers and compares the
    `top_k` largest attributions (`top_k_pixels` on images); a deterministic method has exactly 0.
    `sign_flip_rate` is the share of the first answer's top columns whose sign is the opposite in
    the second. `instability_<n>` is the instability of LIME with n perturbations, n in
    `lime_samples`, at the first `lime_points` points: the released number at that cost.

    `false_confidence` compares how sharp explanations are where the model is unsure and where
    it is sure: sharpness is 1 - H(|E| / |E|_1) / log d, H the entropy over columns, and the
    metric its mean over the tenth of the points whose prediction has most entropy, divided by
    that of the tenth with least. At 1 an unsure prediction's explanation looks as clear.

    Reference: Slack et al. 2021, arXiv 2008.05030, section 1 (two runs disagree); Alvarez-Melis
    and Jaakkola 2018, arXiv 1806.08049.
    """

    points: Annotated[int, Field(ge=10)] = 80
    top_k: Annotated[int, Field(ge=1)] = 5
    top_k_pixels: Annotated[int, Field(ge=1)] = 8
    lime_points: Annotated[int, Field(ge=2)] = 8
    lime_samples: Annotated[tuple[int, ...], Field(min_length=1)] = (200, 1000, 5000)

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect | None] = Aspect.UNCERTAINTY
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "explainer"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries"})
    reference: ClassVar[str] = "Slack et al. 2021, arXiv 2008.05030"
    metrics = (
        fraction(
            "instability",
            "How much of the explanation changes when the same question is asked twice.",
            better="lower",
            null=0.0,
        ),
        fraction(
            "sign_flip_rate",
            "How often a main reason speaks for the prediction once and against it the next time.",
            better="lower",
            null=0.0,
        ),
        fraction(
            "instability_<n>",
            "How much an explanation changes when asked for twice, at this number of samples.",
            better="lower",
            null=0.0,
        ),
        Metric(
            "false_confidence",
            "How clear explanations look where the model is unsure, against where it is sure.",
            "ratio",
            better="lower",
            lower=0.0,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if system.explainer is None:
            return "needs released explanations (intervention=lime)"
        if self._k(system) >= system.problem.n_features:
            return (
                f"the top {self._k(system)} cover all {system.problem.n_features} columns of "
                f"{system.problem.name}, so any two explanations agree"
            )
        return None

    @override
    def measure(self, system: System) -> Measured:
        k = self._k(system)
        X, points = explained_points(system, self.points)
        first, second = system.explain(X, 1), system.explain(X, 2)
        found = [
            self.measurement("instability", instability(first, second, k), len(X)),
            self.measurement("sign_flip_rate", sign_flips(first, second, k), len(X)),
        ]
        of_rows = {
            "instability": 1 - shared(first, second, k).double(),
            "sign_flip_rate": flips(first, second, k) / k,
        }
        for n in self.lime_samples:
            one, other = self._lime(system, X[: self.lime_points], n)
            name = f"instability_{n}"
            found.append(self.measurement(name, instability(one, other, k), one.shape[1]))
            of_rows[name] = 1 - shared(one, other, k).double()
        log_p = system.logits(X).double().log_softmax(-1)
        sides = {"sharp": sharpness(first), "sure": (log_p.exp() * log_p).sum(-1)}
        confidence = self._false_confidence(sides["sharp"], sides["sure"])
        _, y, group = system.problem.rows("test")
        return Measured(
            (*found, *confidence.measurements),
            facts={"top_k": k},
            missing=confidence.missing,
            rows={name: each.cpu().numpy() for name, each in of_rows.items()},
            redraw=RowRedraw.of(
                {name: each.cpu().numpy() for name, each in sides.items()},
                y[points],
                group[points],
                self._redrawn,
            ),
        )

    def _redrawn(self, drawn: Mapping[str, Array], *_: Array) -> Measured:
        sharp, sure = (torch.as_tensor(drawn[name]) for name in ("sharp", "sure"))
        return self._false_confidence(sharp, sure)

    def _k(self, system: System) -> int:
        pixels = system.problem.features[0].kind == "pixel"
        return self.top_k_pixels if pixels else self.top_k

    def _lime(self, system: System, X: Tensor, samples: int) -> tuple[Tensor, Tensor]:
        """Two answers of LIME [R, n, d] with other random numbers."""
        lime = Lime(samples=samples, patch_samples=samples)
        area = lime.neighbourhood(system)
        first, second = (
            lime.attributions(system, area, X, Stream.FRESH, repeat) for repeat in (FIRST, SECOND)
        )
        return first, second

    def _false_confidence(self, sharp: Tensor, sure: Tensor) -> Measured:
        """The ratio of the sharpness [R, n] of unsure rows to that of sure ones, or why not."""
        order, tenth = sure.argsort(-1), max(1, sharp.shape[1] // 10)  # most entropy first
        unsure, sure = (
            sharp.gather(-1, rows).nanmean(-1) for rows in (order[:, :tenth], order[:, -tenth:])
        )
        ratio = (unsure / sure).cpu().numpy()
        if not np.isfinite(ratio).all():
            reason = "explanations of some tenth are all zero, or equal over columns"
            return Measured((), missing={"false_confidence": reason})
        return Measured((self.measurement("false_confidence", ratio, tenth),))


def instability(first: Tensor, second: Tensor, k: int) -> Tensor:
    """1 - mean share of common top-k columns, [R], of attributions [R, n, d]."""
    return 1 - shared(first, second, k).mean(-1)


def shared(first: Tensor, second: Tensor, k: int) -> Tensor:
    """The share of common top-k columns, [R, n], of attributions [R, n, d]."""
    return overlap(top(first.double(), k), top(second.double(), k))


def sign_flips(first: Tensor, second: Tensor, k: int) -> Tensor:
    """Share [R] of the first's top-k columns whose sign is the opposite in the second."""
    return flips(first, second, k).mean(-1) / k


def flips(first: Tensor, second: Tensor, k: int) -> Tensor:
    """How many of the first's top-k columns have the opposite sign in the second, [R, n]."""
    opposite = (first.sign() * second.sign() < 0).double()
    return (top(first.double(), k) * opposite).sum(-1)


def sharpness(attributions: Tensor) -> Tensor:
    """1 - H / log d of |attributions| [..., d] as shares: 0 even, 1 on one column; NaN if all 0.

    >>> sharpness(torch.tensor([[2.0, 0.0], [1.0, -1.0], [0.0, 0.0]])).tolist()
    [1.0, 0.0, nan]
    """
    size = attributions.abs().double()
    share = size / size.sum(-1, keepdim=True)
    entropy = -torch.special.xlogy(share, share).sum(-1)
    evenness: Tensor = entropy / math.log(share.shape[-1])
    return 1 - evenness
