"""From a typed table and what is declared about it to a Problem, with all that was understood."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from trustbench.contracts import Array, DataCard, Encoder, Problem, SplitName, StructuralCausalModel
from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.own import column_findings, split_findings
from trustbench.datasets.loading.own.declared import DeclaredColumn, DeclaredTable
from trustbench.datasets.loading.own.declared_scaling import (
    declared_kinds,
    kind_by_declaration,
    refuse_merged,
)
from trustbench.datasets.loading.own.findings import LEAKS, TableFinding, assumed_favourable
from trustbench.datasets.loading.own.groups import Grouped, read_groups
from trustbench.datasets.loading.own.inputs import (
    InputColumns,
    Inputs,
    change_of,
    features_of,
    learn_inputs,
)
from trustbench.datasets.loading.own.kinds import embeddings, kinds_of
from trustbench.datasets.loading.own.names import expanded, require_columns
from trustbench.datasets.loading.own.rules import Learning
from trustbench.datasets.loading.own.settings import NAME, TableError
from trustbench.datasets.loading.own.splitting import (
    Copies,
    Parts,
    copies_of,
    crossing,
    make_splits,
)
from trustbench.datasets.loading.own.target import Target, labelled_rows, read_target
from trustbench.datasets.loading.splits import pack, subsample
from trustbench.methods.causal.learning import Fitting
from trustbench.methods.causal.problems import learn_on


@dataclass(frozen=True)
class Prepared:
    """A problem and what was understood on the way to it."""

    problem: Problem
    table: pd.DataFrame  # the rows with a class
    unlabelled: int
    columns: InputColumns
    inputs: Inputs
    target: Target
    grouped: Grouped
    left_out: tuple[str, ...]
    copies: int
    findings: tuple[TableFinding, ...]


def prepare(
    table: pd.DataFrame, declared: DeclaredTable, origin: str, streams: Streams
) -> Prepared:
    """Prepares a table [n, columns]; `origin` says in words where it comes from.

    Raises:
        DataError: one sentence on the first thing that does not fit.
    """
    name = _required_target(table, declared)
    _refuse_unknown(table, declared)
    own = declared.columns.get(name, DeclaredColumn())
    target = read_target(table, name, own, declared.favourable)
    rows = labelled_rows(table, name, target.y, declared.unlabelled)
    unlabelled = len(table) - len(rows)
    table, target = table.iloc[rows], target._replace(y=target.y[rows])
    grouped = read_groups(table, declared.sensitive, declared.columns, declared.min_group)
    columns, left_out = _columns(table, declared)
    if declared.scaling == "declared":
        refuse_merged(grouped.merged)
    copies = copies_of(table[columns.names], target.y)
    of, rng = grouped.groups.codes, streams.numpy("split")
    whole = make_splits(table, declared.split, target.y, of, copies, rng)
    splits = subsample(NAME, whole, declared.subsample)
    how = Learning(
        splits["train"],
        declared.missing,
        declared.min_level,
        declared.max_levels,
        declared.scaling == "declared",
    )
    inputs = learn_inputs(table, columns, how)
    problem = _problem(table, columns, inputs, target, grouped, splits)
    if declared.graph:
        problem = replace(problem, scm=_causal_model(problem, declared, streams))
    assumed = assumed_favourable(target.classes, f"dataset.favourable={target.classes[1]}")
    found = [
        *([assumed] if target.assumed else []),
        *_raw_findings(table, declared, columns, target, splits, copies),
        *_encoded_findings(problem),
    ]
    _refuse_leaks(found, declared)
    prepared = Prepared(
        problem, table, unlabelled, columns, inputs, target, grouped, left_out, copies.rows,
        tuple(f for f in found if declared.leakage != "ignore" or f.kind not in LEAKS),
    )  # fmt: skip
    card = _card(prepared, declared, origin)
    warnings = tuple(f.text for f in prepared.findings if f.kind != "note")
    return replace(prepared, problem=replace(problem, card=card, warnings=warnings))


def _causal_model(
    problem: Problem, declared: DeclaredTable, streams: Streams
) -> StructuralCausalModel:
    """The causal model on the declared graph, whose sensitive variables are the table's."""
    if not declared.sensitive:
        raise TableError(
            "dataset.graph needs a sensitive variable to change; give dataset.sensitive=[NAME]"
        )
    how = Fitting() if declared.functions == "network" else Fitting(hidden=0)
    return learn_on(problem, declared.graph, declared.sensitive, streams, how)


def _required_target(table: pd.DataFrame, declared: DeclaredTable) -> str:
    if declared.target is None:
        some = ", ".join(map(str, table.columns[:12]))
        raise TableError(
            "no column is named as the class to predict; give dataset.target=NAME (columns: "
            f"{some}{', ...' if table.shape[1] > 12 else ''})"
        )
    return declared.target


def _refuse_unknown(table: pd.DataFrame, declared: DeclaredTable) -> None:
    """Raises DataError for declared names that are not columns, and for contradictions."""
    target = declared.target or ""
    named = {
        "target": [target],
        "sensitive": declared.sensitive,
        "columns": list(declared.columns),
        "immutable": declared.immutable,
        "actionable": declared.actionable,
    }
    for key, names in named.items():
        require_columns(table, f"dataset.{key}", names)
    if target in declared.sensitive:
        raise TableError(
            f"{target} is both dataset.target and in dataset.sensitive; drop it from one"
        )
    both = sorted({*declared.immutable} & {*declared.actionable})
    if both:
        raise TableError(
            f"{both[0]} is in dataset.immutable and in dataset.actionable; drop it from one"
        )


def _columns(table: pd.DataFrame, declared: DeclaredTable) -> tuple[InputColumns, tuple[str, ...]]:
    """The raw columns that become inputs, and those that do not."""
    dropped = expanded(table, "dataset.drop", declared.drop)
    out = {declared.target, *dropped}
    split = declared.split
    if split.by != "random" and split.column not in declared.columns:
        out.add(split.column)
    names = [c for c in table.columns if c not in out]
    blocks = embeddings(table[names], declared.embedding, names)
    owned = {c for block in blocks for c in block.columns}
    names = [c for c in names if c not in owned]
    bounded = declared.scaling == "declared"
    kinds = kinds_of(table, names, _with_kinds(declared.columns) if bounded else declared.columns)
    if bounded:
        kinds = declared_kinds(kinds, names, declared.columns)
    if not kinds and not blocks:
        raise TableError("no column is left as an input; name fewer columns in dataset.drop")
    changes = {c: change_of(c, declared) for c in names}
    empty = [c for c in names if c not in kinds]
    return InputColumns(kinds, blocks, declared.columns, changes, bounded), (*dropped, *empty)


def _with_kinds(columns: Mapping[str, DeclaredColumn]) -> dict[str, DeclaredColumn]:
    """The columns with the kinds that their declarations mean, whatever their values look like."""
    return {
        name: replace(own, kind=own.kind or kind_by_declaration(own))
        for name, own in columns.items()
    }


def _problem(
    table: pd.DataFrame,
    columns: InputColumns,
    inputs: Inputs,
    target: Target,
    grouped: Grouped,
    splits: Parts,
) -> Problem:
    rows, packed = pack(splits)
    encoder = Encoder(inputs.rules, grouped.groups.rule)
    X = encoder.encode(table.iloc[rows])
    seen = X[np.concatenate([packed["train"], packed["test"]])]
    return Problem(
        name=NAME,
        X=X,
        y=target.y[rows],
        group=grouped.groups.codes[rows].astype(np.int64),
        classes=target.classes,
        groups=grouped.groups.names,
        group_name=grouped.groups.name,
        features=features_of(inputs.rules, encoder.places(), columns, seen),
        splits=packed,
        card=DataCard("", "", "", ""),
        encoder=encoder,
        favoured=target.favoured,
    )


def _raw_findings(
    table: pd.DataFrame,
    declared: DeclaredTable,
    columns: InputColumns,
    target: Target,
    splits: Mapping[SplitName, Array],
    copies: Copies,
) -> Iterator[TableFinding]:
    """What raw columns show."""
    names = list(columns.kinds)
    yield from column_findings.near_target(table, names, target.y, str(declared.target))
    yield from column_findings.odd_columns(table, names)
    if copies.rows:
        yield split_findings.copied(copies.rows, len(table), crossing(splits, copies))


def _encoded_findings(problem: Problem) -> Iterator[TableFinding]:
    """What the encoded rows of the splits show."""
    yield from split_findings.group_rates(
        problem.y, problem.group, problem.classes, problem.groups, problem.splits["test"]
    )
    names = [""] * problem.n_features
    for feature in problem.features:
        levels = feature.levels if len(feature.levels) == len(feature.columns) else ()
        for k, column in enumerate(feature.columns):
            names[column] = f"{feature.name} {levels[k]}" if levels else feature.name
    yield from split_findings.drift(problem.X, problem.y, names, problem.classes, problem.splits)


def _refuse_leaks(found: list[TableFinding], declared: DeclaredTable) -> None:
    leaks = [f.text for f in found if f.kind in LEAKS]
    if leaks and declared.leakage == "refuse":
        raise TableError(f"{'; '.join(leaks)} (dataset.leakage=warn continues with a warning)")


def _favourable(target: Target) -> Iterator[str]:
    if len(target.classes) == 2:
        yield f"Class 1 is {target.classes[1]}."
    if target.favourable and not target.assumed:
        yield f"Favourable: {' and '.join(target.favourable)}."


def _card(prepared: Prepared, declared: DeclaredTable, origin: str) -> DataCard:
    """The card: the owner's words, and what was done to the table."""
    problem, own = prepared.problem, declared.card
    sentences = [f"{len(prepared.table):,} rows of {origin}; the class is {declared.target}."]
    sentences += _favourable(prepared.target)
    if prepared.unlabelled:
        sentences.append(f"{prepared.unlabelled:,} rows without a class are left out.")
    if prepared.left_out:
        sentences.append(f"Columns left out: {', '.join(prepared.left_out)}.")
    if prepared.inputs.missing:
        sentences.append(f"Missing values: {', '.join(prepared.inputs.missing)}.")
    if prepared.grouped.merged:
        sentences.append(f"{prepared.grouped.merged[0].upper()}{prepared.grouped.merged[1:]}.")
    if declared.scaling == "declared":
        sentences.append("Columns are scaled and coded as declared; nothing is learnt from rows.")
    if declared.subsample is not None:
        sentences.append(f"Here a subsample of {len(problem.X):,} rows.")
    sentences += [f"{'' if f.kind == 'note' else 'Warning: '}{f.text}." for f in prepared.findings]
    return DataCard(
        description=" ".join(sentences),
        known_harms=own.known_harms,
        licence=own.licence,
        reference=own.reference,
        rows_public=own.rows_public,
    )
