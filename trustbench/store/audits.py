"""The record of an audit: what a given model scores on rows, and where each number comes from."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from trustbench import errors
from trustbench.contracts.shortening import listed
from trustbench.errors import UserError
from trustbench.store.files import write_own
from trustbench.store.reading import Damaged, read_sealed
from trustbench.store.record_files import to_json
from trustbench.store.schema import Scalar, Strict

SCHEMA = 1


class RowNumber(Strict):
    """A number with its 95 % and 90 % intervals over rows."""

    value: float
    low: float
    high: float
    low90: float
    high90: float
    se: float
    method: Literal["exact", "bootstrap"]


class AuditedMetric(Strict):
    """One metric of the model on `n` rows."""

    number: RowNumber
    n: int
    unit: str
    higher_is_better: bool
    sentence: str
    diagnostic: bool = False
    null: float | None = None
    """What random groups of the same sizes show, for a metric over groups."""
    excess: RowNumber | None = None
    """The metric minus that null."""


class AuditedEffect(Strict):
    """The model minus the reference on the same rows, in units of harm: positive is worse."""

    number: RowNumber
    p: float
    n: int
    reference: float
    """The metric of the reference."""
    beyond_chance: RowNumber | None = None


class AuditedTable(Strict):
    """The table of an audit."""

    name: str
    digest: str
    rows: int
    target: str
    sensitive: list[str]
    classes: list[str]
    favourable: list[str] = Field(default_factory=list)
    """The favourable class of two; of three or more those that are declared."""
    assumed: bool = False
    """Nobody declared it: the last of two is taken."""
    groups: list[str]
    group_name: str
    group_sizes: dict[str, int]
    """Rows of each group among those that are measured."""


class SeenRows(Strict):
    """What is known of the rows that the model was trained on."""

    known: bool
    how: str
    seen: int
    """Rows of the table that the model has seen; numbers on them are marked and never gate."""
    copies: int
    """Of these, rows that are equal to a training row."""
    measured: int
    """Rows that the metrics are measured on."""
    calibration: int
    members: int
    """Rows of the training data that membership attacks attack."""


class AuditRecord(Strict):
    """Everything that one audit found. Its unit of repetition is a row, never a replicate."""

    schema_version: int = SCHEMA
    id: str
    unit: Literal["rows"] = "rows"
    model: dict[str, Scalar]
    reference: dict[str, Scalar] | None = None
    table: AuditedTable
    rows: SeenRows
    references: dict[str, Scalar] | None = None
    """The reference models that attacks on membership compare with."""
    draws: int
    seed: int
    metrics: dict[str, AuditedMetric] = Field(default_factory=dict)
    """`evaluator/metric` -> the number."""
    missing: dict[str, str] = Field(default_factory=dict)
    """`evaluator/metric` -> why it is not applicable."""
    left_out: dict[str, str] = Field(default_factory=dict)
    """`evaluator/fact` -> groups that a comparison leaves out, since they have too few rows."""
    on_seen: dict[str, AuditedMetric] = Field(default_factory=dict)
    """The same on rows that the model has seen; decides nothing."""
    effects: dict[str, AuditedEffect] = Field(default_factory=dict)
    without_effect: dict[str, str] = Field(default_factory=dict)
    aspects: dict[str, str] = Field(default_factory=dict)
    """Evaluator -> the aspect that it measures; utility has none."""
    environment: dict[str, Scalar] = Field(default_factory=dict)


def write_audit(folder: Path, record: AuditRecord) -> Path:
    """Writes the record below the outputs folder; returns its file.

    Raises:
        StorageError: it cannot be written.
    """
    path = audit_file(folder, record.id)
    write_own(path, to_json(record))
    return path


def audit_file(folder: Path, ident: str) -> Path:
    """The record of an audit below the outputs folder."""
    return folder / "audits" / ident / "audit.json"


def audits(folder: Path, warn: Callable[[str], object] = errors.warn) -> list[AuditRecord]:
    """Every usable audit below the outputs folder, sorted by id; warns about the others."""
    found = []
    for path in sorted(folder.glob("audits/*/audit.json")):
        try:
            record = read_audit(path)
            if record.id != path.parent.name:
                raise UserError(f"{path} is the record of another audit, {record.id}.")
        except UserError as error:
            warn(f"{error} It is left out.")
        else:
            found.append(record)
    return found


def find_audit(name: str, known: Sequence[AuditRecord]) -> AuditRecord:
    """The audit of an id or of its beginning.

    Raises:
        UserError: no id of an audit begins with it, or several do.
    """
    found = [r for r in known if r.id == name] or [r for r in known if r.id.startswith(name)]
    if len(found) == 1 and name:
        return found[0]
    shown = listed([_described(r) for r in found or known], 12, "; ") or "none"
    if found:
        raise UserError(f"{len(found)} audits begin with {name!r} ({shown}); give more of the id.")
    raise UserError(
        f"no audit {name!r} is stored; give the id of one, or its audit.json. Audits: {shown}."
    )


def _described(record: AuditRecord) -> str:
    return f"{record.id} {record.model['name']} on {record.table.name}"


def read_audit(path: Path) -> AuditRecord:
    """Reads the record of an audit; raises UserError if the file does not hold a whole one."""
    try:
        content = read_sealed(path)
        if content is None:
            raise Damaged("it does not exist")
        return AuditRecord.model_validate(content)
    except (Damaged, ValidationError) as error:
        why = error if isinstance(error, Damaged) else "it lacks fields, or has unknown ones"
        raise UserError(f"{path} is not the complete record of an audit: {why}.") from error
