"""What a user may declare about a table: its columns, its split, its card."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from trustbench.contracts.raw_values import DatePart

Level = bool | int | float | str
"""A value in a file, as YAML gives it."""

Kind = Literal["number", "category", "ordered", "date"]
Missing = Literal["own", "impute", "refuse"]
Change = Literal["any", "up", "down", "none"]
Leakage = Literal["refuse", "warn", "ignore"]
Scaling = Literal["learnt", "declared"]
Share = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class DeclaredColumn:
    """What is declared about one column; the rest is understood from its values.

    `levels` gives the order of an ordered category, or the only levels of a category. `parts` are
    the numbers that a date becomes; `days` counts them since 1970. `bins` cuts the numbers of a
    target or of a sensitive column: [25, 65] gives below 25, 25 to below 65, and 65 and above.
    Numbers outside of `low` and `high` are refused, or moved to the nearest of them with `clip`;
    attacks stay within both. `scale` multiplies the radius of an attack on this column (0: never
    perturbed). `change` says how a person could change it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: Kind | None = None
    levels: tuple[Level, ...] = ()
    parts: tuple[DatePart, ...] = ()
    bins: tuple[float, ...] = ()
    missing: Missing | None = None
    low: float | None = None
    high: float | None = None
    clip: bool = False
    scale: Annotated[float, Field(ge=0)] | None = None
    change: Change | None = None


@dataclass(frozen=True)
class Split:
    """How rows are split.

    `random` is stratified by class and group. `column` names a column with the words train, test
    and, if wanted, validation and calibration; parts that it does not name are drawn from train.
    `date` trains on the past: the latest rows are the test set. `group` keeps all rows with the
    same value of the column (a household, a customer) in one part.

    `duplicates` are rows that repeat another's inputs and class: keep them `together` in one part,
    `refuse` them, or `ignore` them. null keeps them together if at most a fifth of the rows have a
    copy: in a coarse table, rows of different people are equal by chance.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    by: Literal["random", "column", "date", "group"] = "random"
    column: str | None = None
    test: Share = 0.25
    calibration: Share = 0.15
    validation: Share = 0.10
    duplicates: Literal["together", "refuse", "ignore"] | None = None


@dataclass(frozen=True)
class OwnersCard:
    """What a reader of results must know about the table, in the words of its owner."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    known_harms: str = "not stated by the owner of the table"
    licence: str = "not stated by the owner of the table"
    reference: str = "a table of the user"
    rows_public: bool = False


@dataclass(frozen=True)
class DeclaredTable:
    """All that is declared about a table beside how its file is read."""

    target: str | None = None
    favourable: Level | tuple[Level, ...] | None = None
    unlabelled: Literal["refuse", "drop"] = "refuse"
    sensitive: tuple[str, ...] = ()
    min_group: Annotated[int, Field(ge=1)] = 30
    drop: tuple[str, ...] = ()
    columns: Mapping[str, DeclaredColumn] = field(default_factory=dict)
    embedding: tuple[str, ...] = ()
    immutable: tuple[str, ...] = ()
    actionable: tuple[str, ...] = ()
    missing: Missing = "own"
    scaling: Scaling = "learnt"
    min_level: Annotated[int, Field(ge=1)] = 20
    max_levels: Annotated[int, Field(ge=2, le=1000)] = 50
    split: Split = Split()
    subsample: Annotated[int, Field(ge=1)] | None = None
    leakage: Leakage = "warn"
    graph: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    functions: Literal["network", "linear"] = "network"
    card: OwnersCard = OwnersCard()
