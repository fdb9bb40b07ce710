"""A given model that answers queries, as a system: for attacks and explanations."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Access, Array, Streams, System
from trustbench.contracts.given import GivenModel
from trustbench.contracts.given_checks import answers_to
from trustbench.errors import Unsupported
from trustbench.execution.audit.deciding import Decides, decided_by
from trustbench.execution.audit.prepare import AuditTable
from trustbench.execution.audit.queried import (
    PACKAGES,
    POOL,
    QueriedModel,
    audited_problem,
    pool_of,
)
from trustbench.execution.audit.raw_space import RawSpace, raw_space
from trustbench.execution.audit.row_system import MIN_PROBABILITY
from trustbench.methods.explanations.by_packages import Questions, kernel_shap, lime, tree_shap
from trustbench.methods.explanations.released import release
from trustbench.models.given.trees import trees_of

SAME = 1e-5
"""How far an answer may move when a row is taken apart and put together again."""
SAMPLES, BACKGROUND = 128, 5


def query_system(
    asked: QueriedModel, table: AuditTable, answers: Array, test: Array, streams: Streams
) -> System:
    """The system whose inputs are the table's columns, encoded, at the rows `test`.

    Args:
        asked: the model.
        table: the rows of the audit.
        answers: the model's probabilities of all rows, [n, C].
        test: the rows that are measured.
        streams: of the audit.

    Raises:
        Unsupported: rows cannot be taken apart and put together so that the model answers the same.
    """
    space = raw_space(table.rows, table.declared)
    X = space.encoder.encode(table.rows)
    answering = _Answering(asked, space)
    probe = test[:POOL]
    moved = float(np.abs(answering.probabilities(X[probe]) - answers[probe]).max(initial=0.0))
    if moved > SAME:
        raise Unsupported(
            "needs rows that can be changed column by column; taken apart and put together again, "
            f"rows of this table get answers that differ by up to {moved:.2g}"
        )
    pool = pool_of(len(X), streams)
    no_rows = np.zeros(0, dtype=np.int64)
    problem = audited_problem(table, X, space.features, test, pool, no_rows)
    system = System(
        problem=problem,
        forward=answering.forward,
        replicates=1,
        device=torch.device("cpu"),
        streams=streams,
        membership=np.zeros((1, len(pool)), dtype=bool),
        calibration=np.zeros((1, 0), dtype=np.int64),
        facts={"explained by": asked.explain},
        decider=answering.decisions if asked.own_rule else None,
        access=_access(asked.model),
    )
    if asked.explain not in PACKAGES:
        return system
    seed = streams.entropy("explanations", "audit_packages")
    questions = Questions(answering.log_odds, space.features, X[pool].astype(np.float64), seed)
    return release(system, _explainer(asked, space, questions, answering), "contributions")


def _access(model: GivenModel) -> frozenset[Access]:
    """What evaluators may use: a model that answers with classes alone has no logits."""
    both: frozenset[Access] = frozenset({"logits", "queries"})
    return both if "probabilities" in model.channels else both - {"logits"}


@dataclass(frozen=True)
class _Answering:
    """The model's answers to inputs."""

    asked: QueriedModel
    space: RawSpace

    def probabilities(self, X: Array) -> Array:
        """Inputs [n, d] -> probabilities of the target's classes, float64 [n, C]."""
        found = answers_to(self.asked.model, self.space.decode(X), "of the audit")
        order = self.asked.order
        return np.asarray(np.where(order >= 0, found[:, order], 0.0))

    def log_odds(self, X: Array) -> Array:
        """Inputs [n, d] -> log-odds of each class, [n, C]."""
        p = self.probabilities(X.astype(np.float32)).clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
        return np.asarray(np.log(p) - np.log1p(-p))

    def decisions(self, X: Tensor, group: Array) -> Tensor:
        """What the model's own rule decides, [1, n]."""
        flat = X.detach().reshape(-1, X.shape[-1]).numpy().astype(np.float32)
        model = self.asked.model
        assert isinstance(model, Decides)  # only such a model has a rule of its own
        decided = decided_by(model, self.space.decode(flat), self.asked.order)
        assert decided is not None  # its answers to the table had decisions
        return torch.as_tensor(decided)[None]

    def forward(self, X: Tensor) -> Tensor:
        """Logits [1, n, C] of X [n, d] or [1, n, d]: the logarithms of the probabilities."""
        flat = X.detach().reshape(-1, X.shape[-1]).numpy().astype(np.float32)
        logits = np.log(self.probabilities(flat).clip(min=MIN_PROBABILITY))
        return torch.as_tensor(logits, dtype=X.dtype)[None]


def _explainer(
    asked: QueriedModel, space: RawSpace, questions: Questions, answering: _Answering
) -> Callable[[Tensor, int], Tensor]:
    trees = trees_of(asked.model) if asked.explain == "shap" else None
    places = space.places
    if trees is not None and any(len(places.get(c, ())) != 1 for c in trees.columns):
        trees = None

    def explain(X: Tensor, repeat: int) -> Tensor:
        flat = X.detach().reshape(-1, X.shape[-1]).numpy()
        classes = answering.log_odds(flat).argmax(axis=1)
        again = Questions(
            questions.margins, questions.features, questions.pool, questions.seed + repeat
        )
        if trees is not None:
            values = np.zeros(flat.shape)
            encoded = trees.encoded(space.decode(flat))
            found = tree_shap(trees.model, encoded, asked.order[classes])
            values[:, [places[c][0] for c in trees.columns]] = found
        elif asked.explain == "shap":
            values = kernel_shap(
                again, flat.astype(np.float64), classes, samples=SAMPLES, background=BACKGROUND
            )
        else:
            values = lime(again, flat.astype(np.float64), classes, samples=SAMPLES)
        return torch.as_tensor(values, dtype=X.dtype)[None]

    return explain
