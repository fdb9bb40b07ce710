"""Local linearity: the margin of an example is kept flat, and straight within a ball."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Intervention, Problem, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.actionable import actionable_mask, unknown_feature
from trustbench.methods.attacks.evasion.linearity import most_curved, penalties, views
from trustbench.methods.attacks.evasion.pgd import cross_entropy


@dataclass(frozen=True)
class LocalLinearity(Intervention):
    """Adds lambda |g(x + d) - g(x) - d . grad g(x)| + mu ||grad g(x)||^2 to the loss.

    g is the margin of class 1 above class 0, and d the perturbation of l2 length `epsilon` at which
    the first term is largest, found by Adam. All columns move in it, immutable ones too; the second
    term counts the columns of the `actionable` features (none named: the mutable ones). `linearity`
    is lambda, `flatness` mu. This is the version of CAPIFY's benchmark, which regularises g; Qin et
    al. regularise the loss, and the inner product of its gradient with d.

    The terms are read from views of the example, without a gradient of a gradient. It reads one
    example at a time: under DP-SGD the accounting is unchanged.

    Reference: Qin et al. 2019, arXiv 1907.02610, Algorithm 1; the authors' code of CAPIFY (Ehyaei
    et al. 2023).
    """

    epsilon: Annotated[float, Field(gt=0)] = 0.1
    linearity: Annotated[float, Field(ge=0)] = 1.0
    flatness: Annotated[float, Field(ge=0)] = 1.0
    steps: Annotated[int, Field(ge=1)] = 10
    rate: Annotated[float, Field(gt=0)] = 0.1
    actionable: tuple[str, ...] = ()

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Qin et al. 2019, arXiv 1907.02610"
    dose: ClassVar[tuple[str, ...]] = ("epsilon", "linearity", "flatness")
    leaves_bounds: ClassVar[bool] = True
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient", "perturb", "objective"})

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        if not problem.binary:
            return f"the margin is that of two classes; this task has {len(problem.classes)}"
        return unknown_feature(problem, self.actionable)

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        """The six views [R, B, 6, *shape] from which the penalties are read."""
        shape = batch.X.shape[3:]

        def flat(X: Tensor) -> Tensor:
            return forward(X.unflatten(-1, shape))

        X = batch.X[:, :, 0].detach().flatten(2)
        delta = most_curved(batch, flat, X, self.epsilon, self.steps, self.rate)
        mask = actionable_mask(problem, self.actionable, X)
        found: Tensor = views(flat, X, delta, mask).unflatten(-1, shape)
        return found

    @override
    def objective(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        curved, steep = penalties(logits)
        clean = cross_entropy(logits[:, :, 0], batch.y)
        return clean + self.linearity * curved + self.flatness * steep
