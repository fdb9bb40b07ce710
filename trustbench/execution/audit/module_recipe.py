"""Reference models from a torch module: trained on halves of the pool by the one training loop."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from trustbench.config.arms import Arm, Protocol
from trustbench.contracts import Array, DataCard, Feature, Problem
from trustbench.errors import UserError
from trustbench.execution.audit.references import ReferenceRows, refuse_count
from trustbench.execution.audit.stages import begin
from trustbench.execution.fit import initial, trainer_of
from trustbench.execution.own_code import fresh_module
from trustbench.execution.plan import Plan, resolve_device
from trustbench.training import loop
from trustbench.training.engine_choice import choose

if TYPE_CHECKING:
    from pandas import DataFrame

BATCH = 4096
CARD = DataCard("The rows of an audit.", "see the table's owner", "see the table's owner", "")


@dataclass(frozen=True)
class ModuleRecipe:
    """Trains a module anew, as `trustbench run` trains the replicates of an arm.

    `arm` holds the module and its training; its data set is not used. `inputs` turns rows of the
    table into the inputs of the module. Where training stops early, the rows that no reference is
    trained on choose the epoch.
    """

    name: str
    arm: Arm
    inputs: "Callable[[DataFrame], Array]"
    count: int

    def __post_init__(self) -> None:
        refuse_count(self.count)
        if self.arm.undecided:
            raise UserError(
                "training.lr=auto lets a pilot choose the learning rate of an arm, and --recipe "
                "runs none; give the model's own, as in --set training.lr=0.03."
            )

    def training(self) -> str:
        """The schedule in words."""
        t = self.arm.training
        batch = "" if t.batch_size is None else f", batches of {t.batch_size}"
        return f"{t.regime}, {t.epochs} epochs, learning rate {t.lr:g}{batch}"

    def answers(self, rows: ReferenceRows) -> Array:
        """Trains all models at once, and asks each about every row."""
        plan = self._plan(rows)
        trainer = trainer_of(plan)
        state = loop.train(
            trainer,
            initial(plan),
            lambda epoch, epochs: begin("training references", f"epoch {epoch} of {epochs}"),
        )
        X = torch.as_tensor(plan.problem.X, device=plan.device)
        with torch.no_grad():
            logits = [plan.engine.forward(state.best, part) for part in X.split(BATCH)]
        p: Array = torch.cat(logits, dim=1).double().softmax(-1).cpu().numpy()
        return p

    def _plan(self, rows: ReferenceRows) -> Plan:
        limit, half = self.arm.training.max_members, int(rows.inside.sum(1).max())
        if limit is not None and limit < half:
            raise UserError(
                f"training.max_members={limit} is less than the {half:,} rows that each reference "
                "is trained on; lift it with --set training.max_members=null."
            )
        protocol = Protocol(replicates=self.count, inclusion="half")
        arm = replace(self.arm, protocol=protocol, seed=rows.streams.seed)
        problem = self._problem(rows)
        device = resolve_device(arm.device)
        module = fresh_module(arm, problem, rows.streams)
        return Plan(
            arm=arm,
            problem=problem,
            device=device,
            engine=choose(arm.engine, module, problem, device, tried=True),
            membership=rows.inside,
            streams=rows.streams,
        )

    def _problem(self, rows: ReferenceRows) -> Problem:
        """The pool is what models are trained on; the rows apart validate."""
        import pandas as pd

        X = self.inputs(pd.concat([rows.pool, rows.apart], ignore_index=True))
        X = np.array(X, dtype=np.float32)  # a copy that torch may wrap
        n, m, none = len(X), len(rows.pool), np.zeros(0, dtype=np.int64)
        return Problem(
            name="audit",
            X=X,
            y=np.concatenate([rows.y, rows.y_apart]),
            group=np.zeros(n, dtype=np.int64),
            classes=rows.table.classes,
            groups=("all",),
            group_name="none",
            features=tuple(_features(X)),
            splits={
                "train": np.arange(m),
                "validation": np.arange(m, n),
                "calibration": none,
                "test": none,
            },
            card=CARD,
            partial=True,
        )


def _features(X: Array) -> list[Feature]:
    flat = X.reshape(len(X), -1)
    low, high = flat.min(0), flat.max(0)
    return [
        Feature(f"input {k}", "numeric", (k,), float(low[k]), float(high[k]))
        for k in range(flat.shape[1])
    ]
