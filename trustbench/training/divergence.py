"""Detects replicates whose training diverged, since their numbers mean nothing."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import SPLITS, Array
from trustbench.errors import TrainingDiverged
from trustbench.training.engines import Params
from trustbench.training.state import Trainer

ROWS_AT_ONCE = 4096


def refuse_parameters(trainer: Trainer, params: Mapping[str, Tensor], epoch: int) -> None:
    """Raises TrainingDiverged if a replicate's parameters are not finite."""
    finite = np.ones(len(trainer.membership), dtype=bool)
    for p in params.values():
        finite &= p.flatten(1).isfinite().all(1).cpu().numpy()
    _refuse(trainer, finite, f"parameters that are not finite in epoch {epoch}")


def refuse_loss(trainer: Trainer, loss: Array, epoch: int) -> None:
    """Raises TrainingDiverged if a replicate's validation loss [R] is not finite."""
    _refuse(trainer, np.isfinite(loss), f"a validation loss that is not finite in epoch {epoch}")


def refuse_outputs(trainer: Trainer, params: Params) -> None:
    """Raises TrainingDiverged if the outputs of the replicates to deploy are not finite."""
    for split in SPLITS:
        finite = np.ones(len(trainer.membership), dtype=bool)
        for logits in _logits(trainer, params, trainer.data(split, _dtype(params)).X):
            finite &= logits.flatten(1).isfinite().all(1).cpu().numpy()
        _refuse(trainer, finite, f"outputs that are not finite on {split} rows")


def _logits(trainer: Trainer, params: Params, X: Tensor) -> Iterator[Tensor]:
    with torch.no_grad():
        for rows in X.split(ROWS_AT_ONCE):
            yield trainer.engine.forward(params, rows)


def _refuse(trainer: Trainer, finite: Array, what: str) -> None:
    if finite.all():
        return
    rate = f"below {trainer.schedule.lr:g}"
    advice = f"give a training.lr {rate}"
    if trainer.rule is not None:  # such a method may have its own learning rate
        advice = f"give the method an lr {rate} (training.lr where its lr is null)"
    raise TrainingDiverged(np.flatnonzero(~finite).tolist(), len(finite), what, advice)


def _dtype(params: Params) -> torch.dtype:
    return next(iter(params.values())).dtype
