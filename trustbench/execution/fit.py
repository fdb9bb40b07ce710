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
WAITING = "waiting for another process"
"""The stage of an arm whose work another process is doing."""


def fit(plan: Plan, store: Store, progress: Progress) -> fits.Fit:
    """The plan's replicates; arms that share a fit wait for the one process that trains it.

    Raises:
        StorageError: they cannot be written; a checkpoint, if there is one, is kept.
        TrainingDiverged: a replicate's parameters, loss or outputs stopped being finite.
    """
    folder = store.fit_dir(plan.fit_id)
    with exclusive(folder, lambda: progress(WAITING, 0, 1)):
        found = fits.read_fit(folder, plan.device, store.warn)
        if found is not None:
            return found
        journal = folder / "journal"
        append_line(journal, "start fit")
        if plan.arm.control == "matched":
            made, state = _match(plan, store, progress)
        else:
            made, state = _train(plan, store, progress)
        fits.write_fit(folder, made, state)
        append_line(journal, "done fit")
        return made


def _train(plan: Plan, store: Store, progress: Progress) -> tuple[fits.Fit, TrainingState]:
    arm, folder = plan.arm, store.fit_dir(plan.fit_id)
    rule = plan.rule()
    trainer = Trainer(
        problem=plan.problem,
        engine=plan.engine,
        interventions=plan.retraining,
        schedule=rule.schedule if rule else plan.schedule,
        rule=rule,
        membership=plan.membership,
        streams=plan.streams,
        device=plan.device,
        patience=arm.training.patience,
        snapshots=plan.snapshots(),
    )
    count = len(arm.models)
    params = replicates.initial_parameters(
        arm.model.plugin, plan.problem, count, plan.streams, plan.device
    )
    started = time.monotonic()
    state = loop.train(
        trainer,
        params,
        progress=lambda epoch, epochs: progress("train", epoch, epochs),
        resume=fits.read_checkpoint(folder, plan.device, store.warn),
        checkpoint=lambda state: fits.write_checkpoint(folder, state),
        checkpoint_s=arm.checkpoint_s,
    )
    facts: dict[str, Fact] = {
        "epochs": state.epoch,
        "batch_size": trainer.schedule.batch_size,
        "lr": trainer.schedule.lr,
        "epoch_selected": float(state.best_epoch.mean()),
        "validation_accuracy": float(state.best_accuracy.mean()),
        "train_seconds": round(time.monotonic() - started, 3),
    }
    if rule is not None:
        facts.update(guarantees.refuse_claims(rule.facts()))
    curves = {
        "validation_loss": np.array(state.loss),
        "validation_accuracy": np.array(state.accuracy),
    }
    return fits.Fit(state.best, state.best_accuracy, facts, curves), state


def _match(plan: Plan, store: Store, progress: Progress) -> tuple[fits.Fit, TrainingState]:
    """The baseline stopped at the treated arm's validation accuracy, replicate by replicate.

    Among a replicate's snapshots, the earliest of those closest in validation accuracy.
    """
    baseline, treated = plan.stopped()
    target = fit(treated, store, progress).accuracy
    states, accuracy = _snapshots(baseline, store, progress)
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
    return fits.Fit(params, reached, facts, {}), empty


def _snapshots(baseline: Plan, store: Store, progress: Progress) -> tuple[Params, Array]:
    """The baseline's snapshots as in `read_snapshots`; it is trained again where they are lost."""
    folder = store.fit_dir(baseline.fit_id)
    fit(baseline, store, progress)
    found = fits.read_snapshots(folder, baseline.device, store.warn)
    if found is None:
        with exclusive(folder):
            fits.discard(folder)
        fit(baseline, store, progress)
        found = fits.read_snapshots(folder, baseline.device, store.warn)
    if found is None:
        raise RuntimeError(f"the snapshots in {folder} cannot be read after they were written")
    return found
