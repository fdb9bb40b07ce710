"""A given torch module as a differentiable system: for attacks and explanations by gradients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from trustbench.contracts import Access, Array, Evaluator, Streams, System
from trustbench.contracts.given import GivenModel
from trustbench.errors import Unsupported
from trustbench.execution.audit.input_space import InputSpace, input_space
from trustbench.execution.audit.prepare import AuditTable
from trustbench.execution.audit.queried import Explain, QueriedModel, audited_problem, pool_of
from trustbench.execution.audit.row_system import MIN_PROBABILITY
from trustbench.methods.explanations.by_packages import Questions, kernel_shap, lime
from trustbench.methods.explanations.gradients import (
    gradient_x_input,
    integrated_gradients,
    saliency,
)
from trustbench.methods.explanations.released import Meaning, release
from trustbench.models.given.checkpoint import GivenModule

WHITE_BOX: frozenset[Access] = frozenset({"logits", "queries", "gradients", "parameters"})
SAME = 1e-4
"""How far an answer may move by the rounding of standardised inputs."""
SAMPLES, BACKGROUND = 128, 5

BY_GRADIENT: Mapping[str, tuple[Callable[[System, Tensor], Tensor], Meaning]] = {
    "saliency": (partial(saliency, target="margin"), "slopes"),
    "gradient_x_input": (partial(gradient_x_input, target="margin"), "contributions"),
    "integrated_gradients": (partial(integrated_gradients, target="margin"), "contributions"),
}
"""Explanations that a module with gradients can release, of the margin of its decision."""


def needs_gradients(evaluator: Evaluator) -> bool:
    """Whether an evaluator reads gradients or parameters of a model, and trains nothing."""
    return bool(evaluator.access & {"gradients", "parameters"}) and evaluator.access <= WHITE_BOX


def gradient_system(
    asked: QueriedModel,
    table: AuditTable,
    answers: Array,
    test: Array,
    held: Array,
    streams: Streams,
) -> System:
    """The system whose inputs are those of the module, at the rows `test`.

    Args:
        asked: the model.
        table: the rows of the audit.
        answers: the model's probabilities of all rows, [n, C].
        test: the rows that are measured.
        held: the rows that calibrate prediction sets.
        streams: of the audit.

    Raises:
        Unsupported: the module answers standardised inputs otherwise, or has no gradient.
    """
    given = asked.model
    assert isinstance(given, GivenModule)
    space = input_space(given.inputs, table.rows, table.declared)
    forward = _Forward(given.module, space, asked.order)
    _check(forward, space.X, answers)
    pool = pool_of(len(space.X), streams)
    problem = audited_problem(table, space.X, space.features, test, pool, held)
    system = System(
        problem=problem,
        forward=forward,
        replicates=1,
        device=torch.device("cpu"),
        streams=streams,
        membership=np.zeros((1, len(pool)), dtype=bool),
        calibration=problem.splits["calibration"][None],
        facts={"explained by": asked.explain},
        access=WHITE_BOX,
    )
    return _explained(system, asked.explain, space, pool)


def is_white_box(model: GivenModel) -> bool:
    """Whether the audit can take gradients of a model."""
    return isinstance(model, GivenModule) and "gradients" in model.channels


@dataclass(frozen=True)
class _Forward:
    """The logits of the target's classes, differentiable in the inputs."""

    module: nn.Module
    space: InputSpace
    order: Array  # the module's place of each class of the target; -1: it never answers it

    def __call__(self, X: Tensor) -> Tensor:
        """Inputs [n, *shape] or [1, n, *shape] -> logarithms of the probabilities [1, n, C]."""
        flat = X.reshape(-1, *self.space.X.shape[1:])
        logits = self.module(self.space.to_module(flat).float()).log_softmax(-1)
        found = logits[:, np.maximum(self.order, 0)]
        if (self.order < 0).any():
            never = torch.as_tensor(self.order < 0)
            found = found.masked_fill(never, float(np.log(MIN_PROBABILITY)))
        logits_of_all: Tensor = found[None].to(X.dtype)
        return logits_of_all


def _check(forward: _Forward, X: Array, answers: Array) -> None:
    """Raises Unsupported if the system's answers are not the model's, or have no gradient."""
    probe = torch.as_tensor(X[:256]).requires_grad_()
    with torch.enable_grad():
        logits = forward(probe)
    if not logits.requires_grad:
        raise Unsupported(
            "needs gradients by the inputs, and the module cuts them off (rounding, .detach() or "
            ".long() in forward)"
        )
    moved = np.abs(logits[0].detach().double().exp().numpy() - answers[:256]).max(initial=0.0)
    if moved > SAME:
        raise Unsupported(
            f"needs inputs that can be scaled; scaled, the answers differ by up to {moved:.2g}"
        )


def _explained(system: System, explain: Explain, space: InputSpace, pool: Array) -> System:
    """The system with its answers explained; images by gradients only."""
    if explain in BY_GRADIENT:
        method, meaning = BY_GRADIENT[explain]
        return release(system, lambda X, _: method(system, X), meaning)
    if space.X.ndim > 2:
        return system
    seed = system.streams.entropy("explanations", "audit_packages")

    def margins(X: Array) -> Array:
        p = system.logits(torch.as_tensor(X.astype(np.float32)))[0].double().softmax(-1).numpy()
        p = p.clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
        return np.asarray(np.log(p) - np.log1p(-p))

    def by_package(X: Tensor, repeat: int) -> Tensor:
        flat = X.detach().reshape(-1, X.shape[-1]).numpy().astype(np.float64)
        background = space.X[pool].astype(np.float64)
        of = Questions(margins, space.features, background, seed + repeat)
        classes = margins(flat).argmax(axis=1)
        if explain == "lime":
            values = lime(of, flat, classes, samples=SAMPLES)
        else:
            values = kernel_shap(of, flat, classes, samples=SAMPLES, background=BACKGROUND)
        return torch.as_tensor(values, dtype=X.dtype)[None]

    return release(system, by_package, "contributions")
