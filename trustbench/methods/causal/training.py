"""Twins and causal perturbations of the examples of a batch."""

import torch
from torch import Tensor

from trustbench.contracts import Batch, Problem, StructuralCausalModel
from trustbench.methods.causal.ball import around_twins, free_columns, in_unit_ball
from trustbench.methods.causal.twins import twins
from trustbench.methods.random_numbers import draw


def model_of(problem: Problem) -> StructuralCausalModel:
    """The causal model of a problem that `supports` accepted."""
    if problem.scm is None:
        raise ValueError(f"{problem.name} has no causal model; check `supports` first")
    return problem.scm


def twins_of(problem: Problem, X: Tensor) -> Tensor:
    """The twins [R, B, L, d] of examples X [R, B, d]."""
    found = torch.as_tensor(twins(model_of(problem), X.flatten(0, 1).cpu().numpy()))
    of_row: Tensor = found.transpose(0, 1).unflatten(0, X.shape[:2]).to(X)
    return of_row


def neighbours_of(problem: Problem, batch: Batch, radius: float, draws: int) -> Tensor:
    """Causal perturbations [R, B, L, S, d] of a batch's examples: S around each of L twins.

    Points are uniform in the ball, the same ones around each twin.
    """
    X, scm = batch.X[:, :, 0].detach(), model_of(problem)
    k = len(free_columns(scm, X.shape[-1], among_twins=True))
    like = X.new_zeros(*X.shape[:2], draws, k)
    normal = draw(torch.randn, like, batch.generators, batch.real)
    uniform = draw(torch.rand, like[..., 0], batch.generators, batch.real)
    padding = (normal == 0).all(-1, keepdim=True)  # its direction does not matter: it has no weight
    normal = torch.where(padding, torch.ones_like(normal), normal)
    ball = in_unit_ball(normal.double().cpu().numpy(), uniform.double().cpu().numpy())
    rows = X.flatten(0, 1).cpu().numpy()
    found = torch.as_tensor(around_twins(scm, rows, radius * ball.reshape(len(rows), draws, k)))
    of_row: Tensor = found.transpose(0, 1).unflatten(0, X.shape[:2]).to(X)
    return of_row
