"""The JSON files of records, sweeps and audits: written with checksums, read if these fit."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trustbench.errors import UserError
from trustbench.store.identity import wrong_name
from trustbench.store.reading import Damaged, parse, read_bytes, sealed, unsealed
from trustbench.store.schema import SCHEMA, Record, Strict, Sweep


class UnreadableRecord(UserError):
    """A file that this version cannot read as a record; `what` describes it, for its new name."""

    def __init__(self, message: str, what: str) -> None:
        super().__init__(message)
        self.what = what


def to_json(content: Strict) -> bytes:
    """The content of its file, with a checksum."""
    plain = json.loads(content.model_dump_json())
    return (json.dumps(sealed(plain), indent=1, ensure_ascii=False) + "\n").encode()


def read_record(path: Path) -> Record:
    """Reads the record in a file, which may lie anywhere.

    Raises:
        UserError: the file does not exist.
        UnreadableRecord: it is damaged, has ids that do not follow from its content, or has another
            schema.
    """
    found = find_record(path)
    if found is None:
        raise UserError(f"{path} does not exist; give the record.json of an arm.")
    return found


def find_record(path: Path, arm: str | None = None) -> Record | None:
    """Reads the record in a file, which must be of `arm` if that is given; None without a file.

    Its ids are compared with those that follow from its own content.

    Raises:
        UnreadableRecord: it is damaged, of another arm, or has another schema.
    """
    try:
        data = read_bytes(path)
        if data is None:
            return None
        record = _record(path, parse(data))
    except Damaged as damage:
        raise UnreadableRecord(f"{path} is not a complete record: {damage}.", "damaged") from damage
    wrong = wrong_name(record)
    if arm is not None and record.id != arm:
        wrong = f"it is the record of arm {record.id}"
    if wrong is not None:
        raise UnreadableRecord(f"{path} is not the record of this arm: {wrong}.", "misplaced")
    return record


def read_sweep(path: Path) -> Sweep:
    """Reads the manifest in a file; raises UserError if it is not one."""
    try:
        data = read_bytes(path)
        if data is None:
            raise Damaged("it is missing")
        return Sweep.model_validate(unsealed(parse(data)))
    except (Damaged, ValidationError) as error:
        why = error if isinstance(error, Damaged) else "it lacks fields, or has unknown ones"
        raise UserError(
            f"{path} is not a complete list of a sweep's arms; run the sweep again, which "
            f"computes nothing twice and writes the list anew (what is wrong: {why})."
        ) from error


def _record(path: Path, content: Any) -> Record:
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version != SCHEMA:
        newer, older = "Upgrade trustbench to read it.", "An older trustbench wrote it."
        raise UnreadableRecord(
            f"{path} has record schema {version}; this trustbench reads schema {SCHEMA}. "
            f"{newer if version > SCHEMA else older}",
            f"schema-{version}",
        )
    try:
        return Record.model_validate(unsealed(content))
    except ValidationError as error:
        raise Damaged("it lacks fields, or has unknown ones") from error
