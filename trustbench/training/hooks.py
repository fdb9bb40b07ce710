"""Calls the hooks of a list of interventions, in canonical order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trustbench.contracts import Array, Batch, Forward, Intervention, Problem, SplitName
from trustbench.errors import ConfigError
from trustbench.training import dropout, hidden
from trustbench.training.engines import Params
from trustbench.training.memory import until_it_fits
from trustbench.training.sampling import Visit
from trustbench.training.state import SEEN, Rows, Trainer

# What each intervention keeps between epochs, in their order.
Memory = Sequence[dict[str, Tensor]]


def replaced(trainer: Trainer) -> Trainer:
    """Returns the trainer with the data of the `inputs` and `labels` hooks."""
    problem = trainer.problem
    for intervention in trainer.interventions:
        X, y = _inputs(intervention, problem), intervention.labels(problem)
        if y is not None:
            y = _put(problem.y, problem.splits["train"], y)
        if X is not None or y is not None:
            problem = replace(
                problem, X=problem.X if X is None else X, y=problem.y if y is None else y
            )
    return replace(trainer, problem=problem)


def _inputs(intervention: Intervention, problem: Problem) -> Array | None:
    """The inputs of all rows as a method replaces them, or None if it leaves them alone.

    Raises:
        ConfigError: they are not finite, or not one for each row.
    """
    X = None
    for split in SEEN if intervention.fills("inputs") else ():
        rows, seen = problem.splits[split], intervention.inputs(problem, split)
        if seen is None:
            continue
        if np.shape(seen) != (len(rows), *problem.shape) or not np.isfinite(seen).all():
            raise ConfigError(
                f"the `inputs` of {type(intervention).__name__} for {split} have shape "
                f"{np.shape(seen)}; return finite numbers of shape {(len(rows), *problem.shape)}."
            )
        X = _put(problem.X if X is None else X, rows, seen)
    return X


def _put(values: Array, rows: Array, new: Array) -> Array:
    """A copy of the values, with new ones in some rows."""
    values = values.copy()
    values[rows] = new
    return values


def visit(trainer: Trainer) -> Visit | None:
    """Chains the `resample` hooks; None if no intervention has one."""
    hooks = [i for i in trainer.interventions if i.fills("resample")]
    if not hooks:
        return None

    def rows(members: Array, rng: np.random.Generator) -> Array:
        for intervention in hooks:
            chosen = intervention.resample(trainer.problem, members, rng)
            members = members if chosen is None else chosen
        return members

    return rows


def example_weights(trainer: Trainer, pool: Rows) -> Tensor:
    """The product of all `weights` and `reweigh` hooks, [R, n_pool], on the CPU.

    It is 0 for rows that are not seen.
    """
    inside = torch.as_tensor(trainer.membership)
    weights, problem = inside.to(pool.X.dtype), trainer.problem
    for intervention in trainer.interventions:
        for r, members in enumerate(map(np.flatnonzero, trainer.membership)):
            factors = [intervention.weights(problem, members)]
            if intervention.fills("reweigh"):
                factors.append(intervention.reweigh(problem, members, trainer.first_fit(r)))
            for own in (f for f in factors if f is not None):
                _refuse_odd_weights(intervention, own, len(members))
                weights[r, inside[r]] *= torch.as_tensor(own, dtype=weights.dtype)
    return weights


def _refuse_odd_weights(intervention: Intervention, own: Array, m: int) -> None:
    """Raises ConfigError for weights that are not one finite number above or at 0 per member."""
    own = np.asarray(own)
    if own.shape != (m,) or not (np.isfinite(own) & (own >= 0)).all():
        raise ConfigError(
            f"{type(intervention).__name__} gives weights of shape {own.shape}, or some that are "
            f"negative or not finite; give {m} finite numbers of at least 0, one per member."
        )


def first_logits(trainer: Trainer, split: SplitName, rows: Tensor) -> Tensor | None:
    """The first fit's logits [R, B, C] of rows [R, B] of a split; None without a first fit."""
    found = trainer.first_logits.get(split)
    return None if found is None else torch.take_along_dim(found, rows.unsqueeze(-1), 1)


def perturbed(trainer: Trainer, params: Params, batch: Batch, memory: Memory) -> Tensor:
    """The batch's inputs after every `perturb` hook, in order."""
    return until_it_fits(
        lambda: _perturbed_once(trainer, params, batch, memory), _put_back(batch.generators)
    )


def _perturbed_once(trainer: Trainer, params: Params, batch: Batch, memory: Memory) -> Tensor:
    X = batch.X
    for intervention, own in zip(trainer.interventions, memory, strict=True):
        if intervention.fills("perturb"):
            given = replace(batch, X=X, memory=own)
            X = intervention.perturb(given, forward(trainer, params), trainer.problem)
    return X.detach()


@dataclass(frozen=True)
class Masks:
    """Generators for what acts inside a training pass, one per replicate each."""

    hidden: Sequence[torch.Generator] = ()  # of the `hidden` hook
    dropout: Sequence[torch.Generator] = ()  # of the module's own dropout layers


def factors(trainer: Trainer, batch: Batch, masks: Masks) -> hidden.Factors | None:
    """The factors {site or dropout: [R, B, V, *unit]} of a training step; None without any.

    `batch` has its final views; each view of an example has its own factors.
    """
    views, engine, at = batch.X.shape[2], trainer.engine, trainer.device
    found = dropout.drawn(engine.dropouts, batch.real, views, masks.dropout, at)
    for intervention in trainer.interventions:  # the hook is exclusive
        if intervention.fills("hidden"):
            draw, each = intervention.hidden, masks.hidden
            found |= hidden.drawn(draw, engine.sites, batch.real, views, each, at)
    return found or None


def objective(
    trainer: Trainer,
    logits: Tensor,
    whole: Batch,
    part: slice,
    memory: Memory,
) -> Tensor:
    """Per-example loss [R', B] of the replicates in `part`, whose logits are [R', B, V, C].

    The mean cross-entropy of the views goes through the hooks and is then weighted.
    """
    batch = _slice(whole, part)
    R, B, V, C = logits.shape
    target = batch.y.unsqueeze(2).expand(R, B, V)
    loss = F.cross_entropy(logits.reshape(-1, C), target.reshape(-1), reduction="none")
    loss = loss.view(R, B, V).mean(2)
    for intervention, own in zip(trainer.interventions, memory, strict=True):
        given = replace(batch, memory={k: v[part] for k, v in own.items()})
        loss = intervention.objective(loss, logits, given)
    return loss * batch.weight


def adapt(trainer: Trainer, params: Params, memory: Memory, validation: Batch) -> None:
    """Lets every adaptive intervention learn from the validation rows."""
    for intervention, own in zip(trainer.interventions, memory, strict=True):
        if intervention.fills("adapt"):
            learn = partial(
                intervention.adapt, own, validation, forward(trainer, params), trainer.problem
            )
            until_it_fits(learn, _put_back(validation.generators, own))


def _put_back(
    generators: Sequence[torch.Generator], memory: dict[str, Tensor] | None = None
) -> Callable[[], None]:
    """A function that puts generators, and what a method remembers, back to what they are now."""
    states, known = [g.get_state() for g in generators], dict(memory or {})

    def undo() -> None:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        if memory is not None:
            memory.clear()
            memory.update(known)

    return undo


def forward(trainer: Trainer, params: Params) -> Forward:
    """The forward function of the replicates at these parameters."""

    def call(X: Tensor) -> Tensor:
        return trainer.engine.forward(params, X)

    return call


def _slice(batch: Batch, part: slice) -> Batch:
    return Batch(
        X=batch.X[part],
        y=batch.y[part],
        group=batch.group[part],
        weight=batch.weight[part],
        rows=batch.rows[part],
        generators=batch.generators[part],
        groups=batch.groups,
        epoch=batch.epoch,
        validation=batch.validation,
        counted=None if batch.counted is None else batch.counted[part],
        first=None if batch.first is None else batch.first[part],
    )
