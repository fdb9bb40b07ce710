"""Fair robust learning: classes that lag behind get larger weights and attack radii."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Intervention, Problem, Read, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import ThreatModel, unattackable
from trustbench.methods.attacks.evasion.divergence import divergence, diverging
from trustbench.methods.attacks.evasion.pgd import cross_entropy, pgd

# Maximum sum of the weights' multipliers (Xu's `lim`), which keeps every weight positive.
LARGEST_SUM = 0.5
# Bounds on the factor of a cell's radius (Xu's code).
NARROWEST, WIDEST = 0.98, 3.0
# Steps of the attack that measures boundary errors on the validation rows.
STEPS = 10


@dataclass(frozen=True)
class FairRobustLearning(Intervention):
    """Adversarial training under fairness constraints; replaces `pgd_at` or `trades`.

    The loss of an example of cell c (its class, or its group) is that of TRADES with weights,
    w_nat[c] CE + beta w_bndy[c] KL, at the radius epsilon m[c]. After each epoch, the natural error
    of every cell and its boundary error (right when clean, wrong under PGD) are measured on the
    validation rows. The amount by which an error exceeds the mean over all rows by more than tau
    moves Lagrange multipliers, at rates alpha1 (natural), 2 alpha1 (boundary) and alpha2 (radius).
    These give the weights (`reweight`) and m (`remargin`, from .98 to 3). Weights have mean 1 over
    the training pool. To make epochs comparable, validation scores all cells alike, at m = 1.

    Reference: Xu et al. 2021, arXiv 2010.06121 (FRL); constants from the authors' code.
    """

    epsilon: Annotated[float, Field(gt=0)] = 0.1
    steps: Annotated[int, Field(ge=1)] = 7
    beta: Annotated[float, Field(ge=0)] = 1.5
    tau_natural: Annotated[float, Field(ge=0)] = 0.07
    tau_boundary: Annotated[float, Field(ge=0)] = 0.07
    alpha1: Annotated[float, Field(ge=0)] = 0.05
    alpha2: Annotated[float, Field(ge=0)] = 0.2
    reweight: bool = True
    remargin: bool = True
    by: Literal["class", "group"] = "class"

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = (
        Read("pool", "the size of each class or group", into="training"),
        Read("validation", "the errors of each class or group", into="training"),
    )
    reference: ClassVar[str] = "Xu et al. 2021, arXiv 2010.06121"
    dose: ClassVar[tuple[str, ...]] = ("epsilon",)
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "train"
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient", "perturb", "objective", "adapt"})

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return unattackable(problem)

    def adapt(
        self, memory: dict[str, Tensor], validation: Batch, forward: Forward, problem: Problem
    ) -> None:
        """Moves the multipliers [R, K] by the validation errors, then the weights and radii [R, K].

        Before the first epoch all multipliers are 0, since the errors of an untrained network mean
        nothing.
        """
        cells = len(problem.classes if self.by == "class" else problem.groups)
        if not memory:
            zero = validation.X.new_zeros(len(validation.y), cells)
            memory.update({k: zero.clone() for k in ("natural", "boundary", "margin")})
        else:
            natural, boundary = self._errors(validation, forward, problem)
            cell = self._cell(validation)
            over = excess(natural, cell, cells) - self.tau_natural
            memory["natural"] = onto_simplex(memory["natural"] + self.alpha1 * over)
            over = excess(boundary, cell, cells) - self.tau_boundary
            memory["boundary"] = onto_simplex(memory["boundary"] + 2 * self.alpha1 * over)
            memory["margin"] = memory["margin"] + self.alpha2 * over
        share = self._share(problem, validation.X)
        for name in ("natural", "boundary"):
            memory[f"weight_{name}"] = weights(memory[name], share)
        radius = (2 * memory["margin"]).exp().clamp(NARROWEST, WIDEST)
        memory["radius"] = radius if self.remargin else torch.ones_like(radius)

    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        """Two views of every example [R, B, 2, *shape]: clean, and attacked at its own radius."""
        clean = batch.X[:, :, 0].detach()
        threat = ThreatModel.of(problem, "linf", self.epsilon, clean)
        if batch.memory and not batch.validation:
            # linf treats each column separately, so a weight per row is a radius per row
            radius = batch.memory["radius"].gather(1, self._cell(batch))
            threat = replace(
                threat, weight=threat.weight * radius.view(*radius.shape, *[1] * (clean.ndim - 2))
            )
        attacked = diverging(forward, clean, threat, batch.real, batch.generators, self.steps)
        return torch.stack([clean, attacked], dim=2)

    def objective(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """The weighted loss [R, B] of the two views' logits [R, B, 2, C]."""
        clean, attacked = logits.unbind(2)
        natural, boundary = cross_entropy(clean, batch.y), divergence(clean, attacked)
        cell = self._cell(batch)
        if batch.validation:
            share = (cell[:, :, None] == cell[:, None, :]).sum(-1) / cell.shape[1]
            balance = (1 / share) / (1 / share).mean(1, keepdim=True)
            return balance * (natural + self.beta * boundary)
        if self.reweight and batch.memory:
            natural = natural * batch.memory["weight_natural"].gather(1, cell)
            boundary = boundary * batch.memory["weight_boundary"].gather(1, cell)
        return natural + self.beta * boundary

    def _errors(
        self, validation: Batch, forward: Forward, problem: Problem
    ) -> tuple[Tensor, Tensor]:
        """Natural and boundary errors of the validation rows, float [R, n]."""
        X = validation.X[:, :, 0]
        threat = ThreatModel.of(problem, "linf", self.epsilon, X)
        with torch.no_grad():
            wrong = forward(X).argmax(-1) != validation.y
        attacked = pgd(
            forward, X, validation.y, threat, validation.generators, steps=STEPS, loss="ce"
        ).fooled
        return wrong.to(X), (attacked & ~wrong).to(X)

    def _cell(self, batch: Batch) -> Tensor:
        """The cell of every example, int64 [R, B]."""
        return batch.y if self.by == "class" else batch.group

    def _share(self, problem: Problem, like: Tensor) -> Tensor:
        """The share of the training pool in each cell, [K]."""
        _, y, group = problem.rows("train")
        cell, names = (y, problem.classes) if self.by == "class" else (group, problem.groups)
        count = torch.bincount(torch.as_tensor(cell), minlength=len(names))
        return (count / count.sum()).to(like)


def excess(error: Tensor, cell: Tensor, cells: int) -> Tensor:
    """The mean error of each cell minus that of all rows, [R, K]; 0 for cells without rows."""
    member = torch.nn.functional.one_hot(cell, cells).to(error)
    count = member.sum(1)
    mean = (error.unsqueeze(1) @ member).squeeze(1) / count.clamp(min=1)
    return torch.where(count > 0, mean - error.mean(1, keepdim=True), 0.0)


def onto_simplex(multipliers: Tensor) -> Tensor:
    """Makes multipliers [R, K] non-negative, with a sum of at most LARGEST_SUM."""
    kept = multipliers.clamp(min=0)
    return kept * (LARGEST_SUM / kept.sum(1, keepdim=True).clamp(min=LARGEST_SUM))


def weights(multipliers: Tensor, share: Tensor) -> Tensor:
    """Weights [R, K] of the cells: 1/K plus multiplier minus mean multiplier, with pool mean 1."""
    raw = 1 / multipliers.shape[1] + multipliers - multipliers.mean(1, keepdim=True)
    return raw / (raw * share).sum(1, keepdim=True)
