"""The one training loop. Interventions fill its hooks and never own a training loop.

Read from `train` downwards. Methods first replace data (`inputs`, `labels`). An epoch draws batches
(`resample`). Each batch runs the hooks (`weights` -> `perturb` -> `hidden` -> `objective`,
`layer_loss` -> `gradient`) and then the update. Each epoch ends with a validation (`adapt`). All R
replicates take each step together and never read each other.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, Batch, Schedule, SplitName
from trustbench.training import divergence, hooks, layer_loss
from trustbench.training.engines import Params
from trustbench.training.sampling import epoch_batches
from trustbench.training.state import Rows, Trainer, TrainingState

# The maximum number of rows behind the validation objective: adversarial objectives cost as much
# here as in training. Validation accuracy always uses all rows.
OBJECTIVE_ROWS = 1000
NO_MASKS = hooks.Masks()


def train(
    trainer: Trainer,
    params: Params,
    progress: Callable[[int, int], None],
    resume: TrainingState | None = None,
    checkpoint: Callable[[TrainingState], None] | None = None,
    checkpoint_s: float = 30.0,
) -> TrainingState:
    """Trains all replicates; `best` of the returned state holds the parameters to deploy.

    Raises:
        TrainingDiverged: the parameters, loss or outputs of a replicate stop being finite.
    """
    trainer = hooks.replaced(trainer)
    layer_loss.refuse_other_networks(trainer)
    state = resume or _start(trainer, params)
    if trainer.rule is not None:
        trainer.rule.state.update(state.rule_state)
        state.rule_state = trainer.rule.state
    pool = trainer.data("train", _dtype(params))
    weights = hooks.example_weights(trainer, pool)
    state.left_out = trainer.membership & (weights == 0).numpy()
    if resume is None:
        _adapt(trainer, state)
    saved = time.monotonic()
    while state.epoch < trainer.schedule.epochs and not _all_stopped(trainer, state):
        _epoch(trainer, state, pool, weights)
        divergence.refuse_parameters(trainer, state.params, state.epoch + 1)
        state.epoch += 1
        _validate(trainer, state)
        _adapt(trainer, state)
        progress(state.epoch, trainer.schedule.epochs)
        if checkpoint is not None and time.monotonic() - saved >= checkpoint_s:
            checkpoint(state)
            saved = time.monotonic()
    divergence.refuse_outputs(trainer, state.best)
    return state


def _start(trainer: Trainer, params: Params) -> TrainingState:
    count = len(trainer.membership)
    return TrainingState(
        params={n: p.clone() for n, p in params.items()},
        velocity={n: torch.zeros_like(p) for n, p in params.items()},
        best={n: p.clone() for n, p in params.items()},
        best_loss=np.full(count, np.inf),
        best_epoch=np.zeros(count, dtype=np.int64),
        best_accuracy=np.zeros(count),
        memory=[{} for _ in trainer.interventions],
    )


def _epoch(trainer: Trainer, state: TrainingState, pool: Rows, weights: Tensor) -> None:
    """One pass: every batch through the hooks, then one update of all replicates.

    `weights` [R, n_pool], on the CPU, are those of the `weights` hooks.
    """
    drawn = epoch_batches(
        trainer.schedule, trainer.membership, trainer.streams, state.epoch, hooks.visit(trainer)
    )
    rows = torch.as_tensor(drawn.rows, device=trainer.device)
    inside = torch.as_tensor(drawn.real, dtype=weights.dtype)
    every = weights.expand(len(inside), *weights.shape)
    weight = every.gather(2, torch.as_tensor(drawn.rows)) * inside
    counted, real, weight = weight > 0, inside.to(trainer.device), weight.to(trainer.device)
    attacks = _generators(trainer, "attacks", state.epoch)
    noise = _generators(trainer, "dp_noise", state.epoch)
    masks = hooks.Masks(
        hidden=_generators(trainer, "hidden", state.epoch),
        dropout=_generators(trainer, "dropout", state.epoch),
    )
    keep = _snapshot_steps(trainer, len(rows)) if state.epoch == 0 else ()
    for step in range(len(rows)):
        index = rows[step]
        batch = Batch(
            X=pool.X[index].unsqueeze(2),
            y=pool.y[index],
            group=pool.group[index],
            weight=weight[step],
            rows=index,
            generators=attacks,
            groups=len(trainer.problem.groups),
            epoch=state.epoch,
            counted=counted[step],
            first=hooks.first_logits(trainer, "train", index),
        )
        gradient = batch_gradient(
            trainer,
            state.params,
            batch,
            noise,
            count=real[step].sum(1),
            memory=state.memory,
            masks=masks,
        )
        _descend(trainer.schedule, state, gradient)
        if step + 1 in keep:
            _keep_snapshot(trainer, state)


def batch_gradient(
    trainer: Trainer,
    params: Params,
    batch: Batch,
    noise: Sequence[torch.Generator],
    count: Tensor,
    memory: hooks.Memory,
    masks: hooks.Masks = NO_MASKS,
) -> Params:
    """The gradient {name: [R, *p]} that the optimiser sees; `count` [R]: examples per replicate."""
    batch.X = hooks.perturbed(trainer, params, batch, memory)
    factors = hooks.factors(trainer, batch, masks)

    def loss(logits: Tensor, part: slice) -> Tensor:
        return hooks.objective(trainer, logits, batch, part, memory)

    rule = trainer.rule
    if rule is None:
        total = trainer.engine.gradient(params, batch.X, loss, None, factors).total
        total = layer_loss.added(trainer, params, batch, memory, total)
        scale = count.clamp(min=1.0).reciprocal()
        return {n: t * scale.view(-1, *[1] * (t.ndim - 1)) for n, t in total.items()}
    total = trainer.engine.gradient(params, batch.X, loss, rule.coefficients, factors).total
    return rule.update(total, noise)


def _descend(schedule: Schedule, state: TrainingState, gradient: Params) -> None:
    """Momentum SGD on all replicates, in place."""
    for name, g in gradient.items():  # frozen parameters have none
        p = state.params[name]
        if schedule.weight_decay:
            g = g.add(p, alpha=schedule.weight_decay)
        if schedule.momentum:
            g = state.velocity[name].mul_(schedule.momentum).add_(g)
        p.add_(g, alpha=-schedule.lr)


def _validate(trainer: Trainer, state: TrainingState) -> None:
    """Scores every replicate on the validation split and remembers its best state."""
    accuracy = accuracy_on(trainer, state.params, "validation")
    loss = _validation_objective(trainer, state)
    divergence.refuse_loss(trainer, loss, state.epoch)
    state.loss.append(loss)
    state.accuracy.append(accuracy)
    if trainer.snapshots and state.epoch in _snapshot_epochs(trainer):
        _keep_snapshot(trainer, state, accuracy)
    if trainer.schedule.regime == "memorising":
        better = np.ones(len(loss), dtype=bool)
    else:
        # A replicate that has stopped stays stopped, however long the others continue.
        running = state.epoch - state.best_epoch <= trainer.patience
        better = running & (loss < state.best_loss)
    choose = torch.as_tensor(better, device=trainer.device)
    for name, p in state.params.items():
        state.best[name] = torch.where(choose.view(-1, *[1] * (p.ndim - 1)), p, state.best[name])
    state.best_loss = np.where(better, loss, state.best_loss)
    state.best_epoch = np.where(better, state.epoch, state.best_epoch)
    state.best_accuracy = np.where(better, accuracy, state.best_accuracy)


def _all_stopped(trainer: Trainer, state: TrainingState) -> bool:
    if trainer.schedule.regime == "memorising" or not state.epoch:
        return False
    return bool((state.epoch - state.best_epoch > trainer.patience).all())


def _validation_objective(trainer: Trainer, state: TrainingState) -> Array:
    """Mean of the arm's own per-example objective on validation rows, unweighted: [R]."""
    batch = _validation_batch(trainer, state, stream="objective")
    batch.X = hooks.perturbed(trainer, state.params, batch, state.memory)
    with torch.no_grad():
        logits = trainer.engine.forward(state.params, batch.X.flatten(1, 2))
        logits = logits.unflatten(1, batch.X.shape[1:3])
        losses = hooks.objective(trainer, logits, batch, slice(None), state.memory)
        if layer_loss.methods(trainer):
            losses = losses + layer_loss.losses(trainer, state.params, batch, state.memory)
        return losses.mean(1).double().cpu().numpy()


def _adapt(trainer: Trainer, state: TrainingState) -> None:
    """Shows validation rows to the `adapt` hooks: before the first epoch and after each."""
    if any(i.fills("adapt") for i in trainer.interventions):
        batch = _validation_batch(trainer, state, stream="adapting")
        hooks.adapt(trainer, state.params, state.memory, batch)


def _validation_batch(trainer: Trainer, state: TrainingState, stream: str) -> Batch:
    """The first validation rows, the same for every replicate, as one batch."""
    rows = trainer.data("validation", _dtype(state.params), OBJECTIVE_ROWS)
    R, n = len(trainer.membership), len(rows.y)
    places = torch.arange(n, device=trainer.device)
    return Batch(
        X=rows.X.expand(R, *rows.X.shape).unsqueeze(2),
        y=rows.y.expand(R, n),
        group=rows.group.expand(R, n),
        weight=torch.ones(R, n, dtype=rows.X.dtype, device=trainer.device),
        rows=torch.full((R, n), -1, device=trainer.device),
        generators=_generators(trainer, "attacks", state.epoch, stream),
        groups=len(trainer.problem.groups),
        epoch=state.epoch,
        validation=True,
        counted=torch.ones(R, n, dtype=torch.bool),
        first=hooks.first_logits(trainer, "validation", places.expand(R, n)),
    )


def accuracy_on(
    trainer: Trainer, params: Params, split: SplitName, rows_at_once: int = 4096
) -> Array:
    """Plain accuracy of every replicate on a split, [R]."""
    rows = trainer.data(split, _dtype(params))
    right = torch.zeros(len(trainer.membership), device=trainer.device)
    with torch.no_grad():
        for X, y in zip(rows.X.split(rows_at_once), rows.y.split(rows_at_once), strict=True):
            right += (trainer.engine.forward(params, X).argmax(-1) == y).sum(1)
    return (right / len(rows.y)).double().cpu().numpy()


def _snapshot_steps(trainer: Trainer, steps: int) -> tuple[int, ...]:
    """Powers of two within the first epoch: an accurate task is matched well before its end."""
    if not trainer.snapshots:
        return ()
    return tuple(2**k for k in range(steps.bit_length()) if 2**k < steps)


def _snapshot_epochs(trainer: Trainer) -> set[int]:
    epochs = trainer.schedule.epochs
    return set(np.unique(np.linspace(1, epochs, min(epochs, trainer.snapshots)).round()).tolist())


def _keep_snapshot(trainer: Trainer, state: TrainingState, accuracy: Array | None = None) -> None:
    state.snapshots.append({n: p.cpu().clone() for n, p in state.params.items()})
    if accuracy is None:
        accuracy = accuracy_on(trainer, state.params, "validation")
    state.snapshot_accuracy.append(accuracy)


def _dtype(params: Params) -> torch.dtype:
    return next(iter(params.values())).dtype


def _generators(trainer: Trainer, purpose: str, *indices: "int | str") -> list[torch.Generator]:
    count = len(trainer.membership)
    return [trainer.streams.torch(purpose, r, *indices) for r in range(count)]
