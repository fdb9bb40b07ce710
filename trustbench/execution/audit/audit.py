"""One audit, read from top to bottom: ask the model, measure it, compare it, record it."""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from trustbench import __version__
from trustbench.contracts import Access, Array, Evaluator, Fact, Streams
from trustbench.contracts.given import GivenModel
from trustbench.datasets.loading.splits import strata_of, stratified_order
from trustbench.errors import DataError, UserError
from trustbench.execution.audit.answers import Answers, AuditRows
from trustbench.execution.audit.asking import AskedRows, measured_by_asking
from trustbench.execution.audit.deciding import answers_of, outputs
from trustbench.execution.audit.effects import RowEffect, effects
from trustbench.execution.audit.measure import RowMeasurements, RowMetric, measure
from trustbench.execution.audit.prepare import AuditTable, Members
from trustbench.execution.audit.queried import Explain, QueriedModel
from trustbench.execution.audit.query_measure import merged
from trustbench.execution.audit.recording import recorded_effect, recorded_metric
from trustbench.execution.audit.references import (
    ReferenceRecipe,
    References,
    fit_references,
    with_references,
)
from trustbench.execution.audit.row_system import NOT_STORED
from trustbench.models.given.class_names import columns_in_order
from trustbench.store.audits import (
    AuditedTable,
    AuditRecord,
    SeenRows,
)

if TYPE_CHECKING:
    from pandas import DataFrame

NUMBERS = 2
"""The version of how an audit computes its numbers: a part of its identity."""
MIN_ROWS = 20
"""Fewer rows cannot support a rate; seen rows below this are not measured."""


@dataclass(frozen=True)
class NamedModel:
    """A given model, and what sentences call it."""

    model: GivenModel
    name: str


def run_audit(
    subject: NamedModel,
    table: AuditTable,
    evaluators: Mapping[str, Evaluator],
    *,
    reference: NamedModel | None = None,
    explain: Explain = "shap",
    recipe: ReferenceRecipe | None = None,
    draws: int,
    seed: int,
) -> AuditRecord:
    """Measures a model on the rows of a table, and against a reference on the same rows.

    Raises:
        UserError: a model breaks its contract, or there are too few rows.
    """
    streams = Streams(seed)
    held = _calibration(table, streams)
    own = _AuditedAnswers.of(subject, table, held, explain)
    if recipe is not None:
        fitted = fit_references(recipe, table, own.rows(own.test), own.test, own.held, streams)
        own = replace(own, references=fitted)
    found = own.measured(evaluators, streams, draws)
    on_seen = own.on_seen(evaluators, streams, draws)
    compared: dict[str, RowEffect] = {}
    without: dict[str, str] = {}
    old: Mapping[str, RowMetric] = {}
    asked = [own]
    if reference is not None:
        asked.append(_AuditedAnswers.of(reference, table, held, explain))
        old = asked[1].measured(evaluators, streams, draws).found
        compared, without = effects(found.found, old)
    names = [subject.name, *([reference.name] if reference else [])]
    return AuditRecord(
        id=_identity(asked, names, evaluators, draws, seed),
        model=_described(subject) | outputs(own.answers),
        reference=None if reference is None else _described(reference) | outputs(asked[1].answers),
        table=_table(table, held),
        rows=_seen(table, held, own),
        references=None if own.references is None else own.references.describe(seed),
        draws=draws,
        seed=seed,
        metrics={name: recorded_metric(m) for name, m in found.found.items()},
        missing=dict(found.missing),
        left_out=dict(found.left_out),
        on_seen={name: recorded_metric(m) for name, m in on_seen.found.items()},
        effects={name: recorded_effect(e, old[name].value) for name, e in compared.items()},
        without_effect=without,
        aspects={name: str(e.aspect) for name, e in evaluators.items() if e.aspect is not None},
        environment={
            "trustbench": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
    )


def _described(given: NamedModel) -> dict[str, Fact]:
    return {"name": given.name, **given.model.describe()}


def _calibration(table: AuditTable, streams: Streams) -> Array:
    """Rows that calibrate prediction sets, bool [n]: those declared, or a share of the unseen."""
    held, unseen = table.parts.calibration.copy(), np.flatnonzero(table.parts.test)
    if table.calibration and not held.any():
        strata = strata_of(table.y[unseen], table.group[unseen])
        order = stratified_order(strata, streams.numpy("calibration", "audit"))
        held[unseen[order[: round(table.calibration * len(unseen))]]] = True
    return held


@dataclass(frozen=True)
class _AuditedAnswers:
    """A model's answers to every row of the table."""

    table: AuditTable
    answers: Answers
    test: Array  # row numbers
    held: Array
    members: Answers
    access: frozenset[Access]
    given: QueriedModel
    unanswered: str = ""  # why the model does not answer the training rows
    references: References | None = None

    @classmethod
    def of(
        cls, subject: NamedModel, table: AuditTable, held: Array, explain: Explain
    ) -> "_AuditedAnswers":
        """Asks the model, once for each row."""
        order = columns_in_order(subject.model.classes, table.classes, subject.name)
        labels = table.y, table.group
        answers = answers_of(subject.model, subject.name, table.rows, labels, order)
        members, unanswered = Answers.none(len(table.classes)), ""
        if table.members is not None and "queries" in subject.model.channels:
            try:
                members = _member_answers(subject, table.members, order)
            except UserError as error:  # the rows of the audit were answered: these differ
                unanswered = str(error)
        elif table.parts.how == "split column":
            members = answers.chosen(np.flatnonzero(table.parts.seen))
        access: set[Access] = {"members"} if len(members) else set()
        if "probabilities" in subject.model.channels:
            access.add("logits")
        access.update(a for a in NOT_STORED if a in subject.model.channels)
        test = np.flatnonzero(table.parts.test & ~held)
        given = QueriedModel(subject.model, order, explain, answers.decided is not None)
        return cls(
            table,
            answers,
            test,
            np.flatnonzero(held),
            members,
            frozenset(access),
            given,
            unanswered,
        )

    def rows(self, test: Array) -> AuditRows:
        """What is measured on these rows of the table."""
        table = self.table
        return AuditRows(
            table.classes,
            table.groups,
            table.group_name,
            self.answers.chosen(test),
            self.answers.chosen(self.held),
            self.members,
            self.access,
            table.favoured,
        )

    def measured(
        self, evaluators: Mapping[str, Evaluator], streams: Streams, draws: int
    ) -> RowMeasurements:
        """The metrics on the rows that the model has not seen."""
        if not len(self.test) and self.table.parts.seen.any():
            return RowMeasurements({}, {"every metric": "needs a row that the model has not seen"})
        _refuse_few(len(self.test), self.table)
        own, beside = self.rows(self.test), self.references
        attacked = None if beside is None else partial(with_references, rows=own, references=beside)
        stored = measure(own, evaluators, streams, draws, attacked)
        rows = AskedRows(self.table, self.answers.p, self.test, self.held)
        both = merged(stored, measured_by_asking(self.given, rows, evaluators, streams, draws))
        return replace(both, missing={k: self._with_cause(why) for k, why in both.missing.items()})

    def _with_cause(self, reason: str) -> str:
        """A reason that names the members, with why the model did not answer them."""
        if not self.unanswered or "members" not in reason:
            return reason
        return f"{reason}; the training rows were given, but {self.unanswered.rstrip('.')}"

    def on_seen(
        self, evaluators: Mapping[str, Evaluator], streams: Streams, draws: int
    ) -> RowMeasurements:
        """The metrics on the rows that it has seen, without attacks on membership."""
        seen = np.flatnonzero(self.table.parts.seen)
        if len(seen) < MIN_ROWS:
            return RowMeasurements()
        rows = self.rows(seen)
        no_members = Answers.none(len(rows.classes))
        rows = replace(rows, members=no_members, access=rows.access - {"members"})
        return measure(rows, evaluators, streams, draws)


def _member_answers(subject: NamedModel, members: Members, order: Array) -> Answers:
    """The answers to training rows; UserError if the model cannot answer them."""
    labels = members.y, np.zeros_like(members.y)
    return answers_of(subject.model, subject.name, members.rows, labels, order)


def _refuse_few(n: int, table: AuditTable) -> None:
    if n < MIN_ROWS:
        raise DataError(
            f"{n} rows of {table.name} are left to measure on; give at least {MIN_ROWS} that the "
            "model has not seen and that do not calibrate."
        )


def _table(table: AuditTable, held: Array) -> AuditedTable:
    measured = table.group[table.parts.test & ~held]
    sizes = np.bincount(measured, minlength=len(table.groups))
    good = (1,) if len(table.classes) == 2 else table.favoured
    return AuditedTable(
        name=table.name,
        digest=_digest_of(table.rows),
        rows=len(table.rows),
        target=str(table.declared.target),
        sensitive=list(table.declared.sensitive),
        classes=list(table.classes),
        favourable=[table.classes[k] for k in good],
        assumed=table.assumed,
        groups=list(table.groups),
        group_name=table.group_name,
        group_sizes=dict(zip(table.groups, sizes.tolist(), strict=True)),
    )


def _digest_of(rows: "DataFrame") -> str:
    import pandas as pd

    hashed = pd.util.hash_pandas_object(rows.astype(str), index=False).to_numpy()
    return hashlib.sha256(hashed.tobytes()).hexdigest()[:16]


def _seen(table: AuditTable, held: Array, own: _AuditedAnswers) -> SeenRows:
    parts = table.parts
    return SeenRows(
        known=parts.known,
        how=parts.how,
        seen=int(parts.seen.sum()),
        copies=parts.copies,
        measured=len(own.test),
        calibration=int(held.sum()),
        members=len(own.members),
    )


def _identity(
    asked: Sequence[_AuditedAnswers],
    names: Sequence[str],
    evaluators: Mapping[str, Evaluator],
    draws: int,
    seed: int,
) -> str:
    """Equal for two audits only if every number of theirs is, and what is known of the rows."""
    h, table = hashlib.sha256(), asked[0].table
    for own in asked:
        seen = own.table.parts.seen
        arrays = (own.answers.p, own.answers.y, own.answers.group, own.test, own.held, seen)
        ruled = [a.decided for a in (own.answers, own.members) if a.decided is not None]
        for array in (*arrays, own.members.p, own.members.y, *ruled):
            h.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        h.update(repr((sorted(own.access), own.given.explain)).encode())
        if own.references is not None:
            h.update(np.ascontiguousarray(own.references.pool).tobytes())
    measured = sorted((n, repr(e), e.version) for n, e in evaluators.items())
    if table.favoured:
        h.update(repr(("favourable", table.favoured)).encode())
    known = (table.parts.how, table.classes, table.groups, table.name)
    h.update(repr((NUMBERS, list(names), measured, draws, seed, known)).encode())
    return h.hexdigest()[:12]
