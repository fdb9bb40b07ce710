"""The contract of a model: one row, one output; deterministic; nothing shared between rows."""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

import torch

from trustbench.api.checks.findings import Check, reason_of, require
from trustbench.api.checks.toys import make_problem
from trustbench.contracts import Feature, Model, Problem
from trustbench.contracts.seeding import Streams
from trustbench.training.module_checks import refuse_unsteady

SIDE = 28


def make_images() -> Problem:
    """The toy problem with its columns arranged as one-channel images."""
    flat = make_problem(n=300, d=SIDE * SIDE)
    pixels = tuple(Feature(f"p{j}", "pixel", (j,), -20.0, 20.0) for j in range(SIDE * SIDE))
    return dataclasses.replace(flat, X=flat.X.reshape(-1, 1, SIDE, SIDE), features=pixels)


def checks(model: Model) -> Iterator[Check]:
    """The checks of a model, on a small table and on small images, as far as it takes them."""
    places = {"a table": make_problem(), "images": make_images()}
    taken: dict[str, Problem] = {}

    def supports() -> str:
        refused = []
        for name, problem in places.items():
            reason = reason_of(model.supports(problem), type(model).__name__)
            if reason is None:
                taken[name] = problem
            else:
                refused.append(f"{name}: {reason}")
        require(taken, f"it takes neither a table nor images ({'; '.join(refused)}).")
        return "; ".join(refused)

    yield "`supports` answers", supports
    for name in places:
        yield f"logits of {name}", partial(_on_data_set, taken, name, partial(_logits, model))
        steady = partial(_on_data_set, taken, name, partial(_steady, model))
        yield f"rows of {name} alone, and the same twice", steady


def _on_data_set(
    taken: dict[str, Problem], name: str, check: Callable[[Problem], None]
) -> str | None:
    if name not in taken:
        return "not taken"
    check(taken[name])
    return None


def _logits(model: Model, problem: Problem) -> None:
    module = model.build(problem)
    require(isinstance(module, torch.nn.Module), "build returns no torch.nn.Module; return one.")
    logits = module.eval()(torch.as_tensor(problem.rows("test")[0][:5]))
    wanted = (5, len(problem.classes))
    require(
        tuple(logits.shape) == wanted,
        f"5 rows give outputs of shape {tuple(logits.shape)}; return logits of shape {wanted}.",
    )
    require(torch.isfinite(logits).all(), "logits are not finite; look at the initialisation.")


def _steady(model: Model, problem: Problem) -> None:
    with Streams(0).global_torch("initialisation", 0):
        refuse_unsteady(model.build(problem), problem)
