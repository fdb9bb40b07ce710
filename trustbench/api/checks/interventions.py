"""The contract of an intervention: hooks return the right shapes, and the system is unchanged."""

from collections.abc import Iterator

import numpy as np
import torch

from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.findings import SCHEDULE, Check, channels, reason_of, require, same
from trustbench.api.checks.opened import opened
from trustbench.api.checks.toys import TOYS, toy_system
from trustbench.contracts import (
    CHANNELS,
    TRAINING_HOOKS,
    Batch,
    FirstFit,
    Intervention,
    Problem,
    System,
)
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.seeding import Streams
from trustbench.execution.deployed_rows import refuse_other_rows
from trustbench.training.state import SEEN

ROWS, REPLICATES = 8, 2


def checks(method: Intervention) -> Iterator[Check]:
    """The checks of an intervention, on the first toy system that it supports."""
    systems = [toy_system(name) for name in TOYS if name != "eight replicates"]
    fitting: list[System] = []

    def supports() -> str | None:
        name = type(method).__name__
        reasons = [reason_of(method.supports(s.problem, SCHEDULE), name) for s in systems]
        fitting.extend(s for s, reason in zip(systems, reasons, strict=True) if reason is None)
        require(fitting, f"it supports no small problem: {'; '.join(map(str, set(reasons)))}.")
        return None

    yield "`supports` answers", supports
    yield "it says what it is", lambda: _states(method)
    yield "the schedule of training", lambda: _schedule(method)
    yield "weights and rows of the pool", lambda: _pool(method, fitting[0].problem)
    yield "perturbed inputs", lambda: _perturbs(method, fitting[0].problem)
    yield "factors on hidden activations", lambda: _hidden(method)
    yield "the loss of each example", lambda: _objective(method, fitting[0].problem)
    yield "the gradient rule", lambda: _gradient(method, fitting[0].problem)
    yield "deployment leaves the system as it was", lambda: _deploys(cheap(method), fitting[0])


def _states(method: Intervention) -> str:
    hooks = [h for h in (*TRAINING_HOOKS, "deploy") if method.fills(h)]
    require(hooks, "it overrides no hook; override the one that the method works through.")
    require(isinstance(getattr(method, "aspect", None), Aspect), "aspect is missing; state it.")
    require(len(method.reference) > 10, "reference is missing; cite the paper of the method.")
    require(
        method.accounted,
        "the private rows that it reads are not declared; state reads_rows, () for none.",
    )
    return f"fills {', '.join(hooks)}"


def _schedule(method: Intervention) -> str | None:
    if not method.fills("schedule"):
        return "not filled"
    after = method.schedule(SCHEDULE)
    require(after.regime == SCHEDULE.regime, "schedule changes the regime; leave it as it is.")
    usable = after.epochs >= 1 and after.batch_size >= 1 and after.lr > 0 and after.momentum < 1
    require(usable, "schedule returns values that cannot train; bound the method's fields.")
    return None


def _pool(method: Intervention, problem: Problem) -> str | None:
    n = len(problem.splits["train"])
    members = np.arange(0, n, 2)
    weights = method.weights(problem, members)
    if weights is not None:
        fits = weights.shape == (len(members),) and bool((weights >= 0).all())
        require(fits, f"weights must be {len(members)} numbers, one per member, none negative.")
        mean = float(np.mean(np.asarray(method.weights(problem, np.arange(n)))))
        require(abs(mean - 1) < 1e-4, "the weights of all rows must have mean 1; rescale them.")
    weights = method.reweigh(problem, members, _first(problem))
    if weights is not None:
        fits = weights.shape == (len(members),) and bool((weights >= 0).all())
        require(fits, f"reweigh must give {len(members)} numbers, one per member, none negative.")
    rows = method.resample(problem, members, np.random.default_rng(0))
    if rows is not None:
        inside = np.isin(rows, members).all()
        require(inside, "resample returns rows that are not among the replicate's members.")
    labels = method.labels(problem)
    if labels is not None:
        known = labels.shape == (n,) and labels.min() >= 0 and labels.max() < len(problem.classes)
        require(known, f"labels must be {n} positions of classes.")
    _inputs(method, problem)
    return None


def _first(problem: Problem) -> FirstFit:
    """The answers of a linear first fit."""
    X = problem.rows("train")[0]
    logits = _Linear(problem)(torch.as_tensor(X)).numpy()
    return FirstFit(logits, X.reshape(len(X), -1))


def _inputs(method: Intervention, problem: Problem) -> None:
    for split in SEEN:
        X, before = problem.rows(split)[0], problem.X.copy()
        seen = method.inputs(problem, split)
        require(np.array_equal(problem.X, before), "inputs changes problem.X; return a new array.")
        if seen is not None:
            fits = seen.shape == X.shape and bool(np.isfinite(seen).all())
            require(fits, f"inputs of {split} must be finite numbers of shape {X.shape}.")
            again = np.asarray(method.inputs(problem, split))
            require(np.array_equal(seen, again), "inputs draws anew each time; draw from a seed.")


def _batch(problem: Problem) -> Batch:
    X, y, group = (torch.as_tensor(a[:ROWS]) for a in problem.rows("train"))
    streams = Streams(0)
    return Batch(
        X=X.expand(REPLICATES, *X.shape).unsqueeze(2).clone(),
        y=y.expand(REPLICATES, ROWS).clone(),
        group=group.expand(REPLICATES, ROWS).clone(),
        weight=torch.ones(REPLICATES, ROWS),
        rows=torch.arange(ROWS).expand(REPLICATES, ROWS),
        generators=[streams.torch("attacks", r) for r in range(REPLICATES)],
        first=_Linear(problem)(X).expand(REPLICATES, -1, -1),
    )


class _Linear:
    """A fixed linear network that every replicate shares."""

    def __init__(self, problem: Problem) -> None:
        d, k = problem.n_features, len(problem.classes)
        drawn = np.random.default_rng(0).normal(size=(d, k))
        self.weights, self.axes = torch.as_tensor(drawn, dtype=torch.float32), len(problem.shape)

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        return X.flatten(-self.axes) @ self.weights


def _ready(method: Intervention, problem: Problem) -> Batch:
    """A batch after the method has learnt from validation rows, if it does."""
    batch, memory = _batch(problem), dict[str, torch.Tensor]()
    method.adapt(memory, _batch(problem), _Linear(problem), problem)
    batch.memory = memory
    return batch


def _perturbs(method: Intervention, problem: Problem) -> str | None:
    if not method.fills("perturb"):
        return "not filled"
    batch = _ready(method, problem)
    out = method.perturb(batch, _Linear(problem), problem).detach()
    shape = tuple(batch.X.shape)
    fits = out.shape[:2] == batch.X.shape[:2] and out.shape[3:] == batch.X.shape[3:]
    require(fits, f"inputs of shape {shape} come back as {tuple(out.shape)}; keep [R, B, V, ...].")
    require(same(batch.X, _batch(problem).X), "it changes batch.X in place; return a new tensor.")
    again = method.perturb(_ready(method, problem), _Linear(problem), problem).detach()
    require(same(out, again), "equal generators give other rows; draw from batch.generators only.")
    flat = out.flatten(3)
    low, high = (torch.as_tensor(problem.per_column(end)) for end in ("lower", "upper"))
    inside = (flat >= low - 1e-5).all() and (flat <= high + 1e-5).all()
    require(
        bool(inside) or method.leaves_bounds,
        "inputs leave the bounds of their features; clip them to lower and upper.",
    )
    return None


def _hidden(method: Intervention) -> str | None:
    if not method.fills("hidden"):
        return "not filled"
    one, again, other = (method.hidden((4000, 5), Streams(0).torch("hidden", r)) for r in (0, 0, 1))
    fits = one.shape == (4000, 5) and one.dtype == torch.float32
    require(fits, "hidden must return float32 factors of the shape that it is given.")
    require(same(one, again), "equal generators give other factors; draw from theirs only.")
    require(not same(one, other), "other generators give equal factors; draw from theirs.")
    error = float(one.std(0).max()) / len(one) ** 0.5
    require(((one.mean(0) - 1).abs() < 5 * error).all(), "factors must have mean 1.")
    return None


def _objective(method: Intervention, problem: Problem) -> None:
    batch, forward = _ready(method, problem), _Linear(problem)
    batch.X = method.perturb(batch, forward, problem).detach()
    logits = forward(batch.X)
    loss = method.objective(torch.ones(REPLICATES, ROWS), logits, batch)
    require(
        tuple(loss.shape) == (REPLICATES, ROWS),
        f"the loss has shape {tuple(loss.shape)}; return one for each example, [R, B].",
    )
    require(torch.isfinite(loss).all(), "the loss is not finite; look at logarithms and divisions.")


def _gradient(method: Intervention, problem: Problem) -> str | None:
    rule = method.gradient(SCHEDULE, len(problem.splits["train"]) // 2)
    if rule is None:
        return "plain descent"
    factors = rule.coefficients(torch.full((2, 3), 1e6), slice(None))
    require((factors <= 1).all(), "coefficients above 1 make large gradients larger; bound them.")
    require(rule.facts(), "the rule states no facts; state its clipping norm or noise.")
    return None


def _deploys(method: Intervention, system: System) -> str | None:
    if not method.fills("deploy"):
        return "not filled"
    if method.deploys == "release":
        system = opened(system, "channel")
    before = channels(system), dict(system.facts)
    deployed = method.deploy(system)
    require(
        (channels(system), dict(system.facts)) == before,
        "deploy changes the system it is given; return dataclasses.replace(system, ...).",
    )
    require(isinstance(deployed, System), "deploy returns no System; return one.")
    now = zip(CHANNELS, before[0], channels(deployed), strict=True)
    changed = {c for c, old, new in now if old != new}
    require(changed, "deploy changes no channel; fill one.")
    require(
        ("forward" in changed) == (method.deploys == "outputs"),
        "only a method with deploys = 'outputs' changes `forward`, and it has to.",
    )
    require(
        ("data" in changed) == (method.deploys == "data"),
        "only a method with deploys = 'data' changes the problem, and it has to.",
    )
    refuse_other_rows(method, system.problem, deployed.problem)
    logits = deployed.logits(torch.as_tensor(system.problem.rows("test")[0][:3]))
    require(logits.shape[:2] == (system.replicates, 3), "logits are no longer [R, n, C].")
    return None
