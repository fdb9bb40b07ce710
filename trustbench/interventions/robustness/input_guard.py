"""Input guard: inputs that a detector finds abnormal are not decided."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import (
    Array,
    Chain,
    Intervention,
    Learnt,
    Problem,
    Read,
    Schedule,
    System,
)
from trustbench.contracts.aspects import Aspect
from trustbench.errors import Unsupported
from trustbench.methods.rejection import Score, doubt, rejecting

RIDGE = 1e-3  # of the mean variance, added to the covariance of the features


@dataclass(frozen=True)
class InputGuard(Intervention):
    """Abstains on inputs whose `detector` score is above that of almost all clean rows.

    `squeezing` is the distance, in total variation, between the probabilities of an input and those
    of the same input with its numbers rounded to 2^`bits` levels. `softmax` is a low largest
    probability. `distance` is the Mahalanobis distance of the penultimate features to the closest
    class mean of a replicate's members; it needs a network that is a chain of layers. At most a
    share `false_rejection` of clean rows is rejected, by an order statistic of each replicate's
    calibration rows; with 0 the system stays as it is.

    A guard that stops an attacker who does not know it may stop nobody who does: read
    `guarded_robustness/fooled`.

    Reference: Xu et al. 2018, arXiv 1704.01155 (bit depth); Lee et al. 2018, arXiv
    1807.03888, equations 1 and 2; Hendrycks & Gimpel 2017, arXiv 1610.02136.
    """

    detector: Literal["squeezing", "softmax", "distance"] = "squeezing"
    false_rejection: Annotated[float, Field(ge=0, lt=1)] = 0.05
    bits: Annotated[int, Field(ge=1, le=16)] = 3

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reference: ClassVar[str] = "Xu et al. 2018, arXiv 1704.01155"
    dose: ClassVar[tuple[str, ...]] = ("false_rejection",)
    deploys: ClassVar[Literal["data", "outputs", "channel", "release"]] = "release"

    @override
    def declares(
        self, problem: Problem, schedule: Schedule, n_members: int
    ) -> tuple[Read, ...] | None:
        limit = Read("calibration", "the limit of the detector", into="answers")
        if self.detector != "distance":
            return (limit,)
        means = Read("members", "the means and covariance of the features", into="answers")
        return (limit, means)

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        if self.detector == "squeezing" and not any(_numbers(problem)):
            return f"{problem.name} has no numeric column to squeeze; choose another detector"
        return None

    @override
    def deploy(self, system: System) -> System:
        scores = {"softmax": self._softmax, "squeezing": self._squeezing, "distance": _distance}
        return rejecting(system, "limit", scores[self.detector](system), self.false_rejection)

    def _softmax(self, system: System) -> Score:
        return lambda X: doubt(system.forward(X))

    def _squeezing(self, system: System) -> Score:
        problem, levels = system.problem, 2**self.bits - 1
        bounds = problem.per_column("lower"), problem.per_column("upper")
        numbers, lower, upper = (
            system.tensor(column).view(problem.shape) for column in (_numbers(problem), *bounds)
        )
        width = torch.where(upper > lower, upper - lower, 1.0)

        def score(X: Tensor) -> Tensor:
            low, wide = lower.to(X.dtype), width.to(X.dtype)
            rounded = low + ((X - low) / wide * levels).round() / levels * wide
            # the gradient of rounding is that of the identity, so that an attack can follow it
            squeezed = torch.where(numbers, X + (rounded - X).detach(), X)
            plain, other = (system.forward(x).softmax(-1) for x in (X, squeezed))
            return (plain - other).abs().sum(-1) / 2

        return score


def _numbers(problem: Problem) -> Array:
    """Which flattened columns hold numbers or pixels: bool [d]."""
    found = np.zeros(problem.n_features, dtype=bool)
    for feature in problem.features:
        found[list(feature.columns)] = not feature.whole
    return found


def _distance(system: System) -> Score:
    """The smallest squared Mahalanobis distance of the features to the mean of a class."""
    chain = system.chain
    if chain is None:
        raise Unsupported(
            "detector=distance reads penultimate features, and this network, or what other methods "
            "of the arm make of it, is not a chain of layers; choose squeezing or softmax"
        )
    known = system.learn("features", lambda: _fitted(system, chain)).tensors
    means, root = known["means"], known["root"]

    def score(X: Tensor) -> Tensor:
        white = chain.hidden(X).to(root.dtype) @ root
        centres = torch.einsum("crh,rhk->crk", means, root)
        return torch.stack([(white - c.unsqueeze(1)).square().sum(-1) for c in centres]).amin(0)

    return score


def _fitted(system: System, chain: Chain) -> Learnt:
    """Class means [C, R, h] and a root [R, h, h] of the shared precision, from the members."""
    X, y, _ = system.problem.rows("train")
    with torch.no_grad():
        hidden = chain.hidden(system.tensor(X)).double()
    labels, members = system.tensor(y), system.tensor(system.membership)
    of_class = [(members & (labels == c)).double() for c in range(len(system.problem.classes))]
    counts = [k.sum(1).clamp(min=1)[:, None] for k in of_class]
    means = torch.stack([
        torch.einsum("rn,rnh->rh", k, hidden) / n for k, n in zip(of_class, counts, strict=True)
    ])  # fmt: skip
    centred = (hidden - means[labels].transpose(0, 1)) * members.unsqueeze(-1)
    covariance = centred.mT @ centred / members.sum(1)[:, None, None]
    size = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None].clamp(min=1e-12)
    eye = torch.eye(covariance.shape[-1], dtype=hidden.dtype, device=hidden.device)
    precision = torch.linalg.inv(covariance + RIDGE * size * eye)
    return Learnt({"means": means, "root": torch.linalg.cholesky(precision)})
