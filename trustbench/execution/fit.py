"""The trained replicates of a plan: read when they exist, resumed when half done, else trained."""

import time
from collections.abc import Callable

import numpy as np
import torch

from trustbench.contracts import Array, Fact, guarantees
from trustbench.execution.plan import Plan
from trustbench.store.files import append_line, exclusive
from trustbench.store.records import Store
from trustbench.training import fits, loop, replicates
from trustbench.training.engines import Params
from trustbench.training.state import Trainer, TrainingState

Progress = Callable[[str, int, int], None]
TRAIN = "train"
"""The stage in which an arm's own replicates train; stages of other training start with it."""
WAITING = "waiting for another process"
"""The stage of an arm that another process is working on."""


def renamed(progress: Progress, stage: str) -> Progress:
    """The progress of an arm that trains another one, with `stage` as the name of that training."""

    def report(own: str, done: int, total: int) -> None:
        progress(stage if own.startswith(TRAIN) else own, done, total)

    return report


def fit(plan: Plan, store: Store, progress: Progress) -> fits.Fit:
    """Returns the plan's replicates; arms that share a fit wait for the process that trains it.

    Raises:
        StorageError: they cannot be written; an existing checkpoint is kept.
        TrainingDiverged: a replicate's parameters, loss or outputs stopped being finite.
    """
    if plan.arm.only is not None:
        return fit(plan.whole(), store, progress).only(plan.arm.only)
    folder = store.fit_dir(plan.fit_id)
    with exclusive(folder, lambda: progress(WAITING, 0, 1)):
        found = fits.read_fit(folder, plan.device, store.warn)
        if found is not None:
            return found
        append_line(folder / "journal", "start fit")
        if plan.arm.control == "matched":
            made, state = _match(plan, store, progress)
        else:
            started = time.monotonic()
            trainer = trainer_of(plan, _first(plan, store, progress))
            state = loop.train(
                trainer,
                initial(plan),
                progress=lambda epoch, epochs: progress(TRAIN, epoch, epochs),
                resume=fits.read_checkpoint(folder, plan.device, store.warn),
                checkpoint=lambda state: fits.write_checkpoint(folder, state),
                checkpoint_s=plan.arm.checkpoint_s,
            )
            made = _fit(trainer, state, time.monotonic() - started)
        fits.write_fit(folder, made, state)
        append_line(folder / "journal", "done fit")
        return made


def _first(plan: Plan, store: Store, progress: Progress) -> Params | None:
    """The parameters of the first fit that methods of the plan need; None without one."""
    first = plan.first()
    if first is None:
        return None
    return fit(first, store, renamed(progress, "train a first fit")).params


def trainer_of(plan: Plan, first: Params | None = None) -> Trainer:
    """What the training loop needs of a plan."""
    rule = plan.rule()
    return Trainer(
        problem=plan.problem,
        engine=plan.engine,
        interventions=plan.retraining,
        schedule=rule.schedule if rule else plan.schedule,
        rule=rule,
        membership=plan.membership,
        streams=plan.streams,
        device=plan.device,
        patience=plan.arm.training.patience,
        snapshots=plan.snapshots(),
        first=first,
    )


def initial(plan: Plan) -> Params:
    """The freshly initialised parameters of the plan's models."""
    model, count = plan.arm.model.plugin, len(plan.arm.models)
    return replicates.initial_parameters(model, plan.problem, count, plan.streams, plan.device)


def _fit(trainer: Trainer, state: TrainingState, seconds: float) -> fits.Fit:
    """What is kept of a finished training."""
    facts: dict[str, Fact] = {
        "epochs": state.epoch,
        "batch_size": trainer.schedule.batch_size,
        "lr": trainer.schedule.lr,
        "epoch_selected": float(state.best_epoch.mean()),
        "validation_accuracy": float(state.best_accuracy.mean()),
        "train_seconds": round(seconds, 3),
    }
    if state.left_out is not None and state.left_out.any():
        facts.update(_left_out(trainer, state.left_out))
    if trainer.rule is not None:
        facts.update(guarantees.refuse_claims(trainer.rule.facts()))
    curves = {
        "validation_loss": np.array(state.loss),
        "validation_accuracy": np.array(state.accuracy),
    }
    return fits.Fit(state.best, state.best_accuracy, facts, curves, trainer.device.type)


def _left_out(trainer: Trainer, rows: Array) -> dict[str, Fact]:
    """The share of members that methods give weight 0, for each group and each true label.

    `rows` bool [R, n_pool]; the mean over replicates.
    """
    problem, member = trainer.problem, trainer.membership
    _, y, group = problem.rows("train")
    found: dict[str, Fact] = {"left_out": float(rows.sum() / member.sum())}
    for key, names, of in (("group", problem.groups, group), ("label", problem.classes, y)):
        each = [
            f"{name} {rows[:, of == k].sum() / max(member[:, of == k].sum(), 1):.3f}"
            for k, name in enumerate(names)
        ]
        found[f"left_out_by_{key}"] = "; ".join(each)
    return found


def _match(plan: Plan, store: Store, progress: Progress) -> tuple[fits.Fit, TrainingState]:
    """The baseline stopped at the treated arm's validation accuracy, replicate by replicate.

    Chooses, among a replicate's snapshots, the earliest of those closest in validation accuracy.
    """
    baseline, treated = plan.stopped()
    target = fit(treated, store, renamed(progress, "train the treated arm")).accuracy
    states, accuracy = _snapshots(baseline, store, renamed(progress, "train the baseline"))
    chosen = np.abs(accuracy - target).argmin(axis=0)
    picked = torch.as_tensor(chosen, device=plan.device)
    each = torch.arange(len(chosen), device=plan.device)
    params: Params = {n: s[picked, each].contiguous() for n, s in states.items()}
    reached = accuracy[chosen, np.arange(len(chosen))]
    facts: dict[str, Fact] = {
        "matched_accuracy_gap": float(np.abs(reached - target).mean()),
        "matched_accuracy_target": float(target.mean()),
        "validation_accuracy": float(reached.mean()),
    }
    empty = TrainingState(params=params, velocity={}, best=params)
    return fits.Fit(params, reached, facts, {}, plan.device.type), empty


def _snapshots(baseline: Plan, store: Store, progress: Progress) -> tuple[Params, Array]:
    """The baseline's snapshots as in `read_snapshots`; lost ones are trained again."""
    folder = store.fit_dir(baseline.fit_id)
    fit(baseline, store, progress)
    with exclusive(folder):
        found = fits.read_snapshots(folder, baseline.device, store.warn)
        if found is None:
            fits.discard(folder)
    if found is None:
        fit(baseline, store, progress)
        found = fits.read_snapshots(folder, baseline.device, store.warn)
    if found is None:
        raise RuntimeError(f"the snapshots in {folder} cannot be read after they were written")
    return found
