"""What an export says about itself: `trustbench.json` in its folder."""

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from trustbench.contracts.guarantees import Guarantee
from trustbench.errors import UserError
from trustbench.store.schema import ArmSpec, Scalar, Strict

SPEC = "trustbench.json"
WEIGHTS = "weights.safetensors"
"""The model's parameters under their own names, as `Module.load_state_dict` takes them."""
LEARNT = "learnt.safetensors"
"""What the deployed methods learnt from rows: thresholds, temperatures, other trained copies."""
SCHEMA = "schema.json"
"""The raw columns and how they become inputs; the same content as in `trustbench.json`."""
THRESHOLDS = "thresholds.json"
"""The small numbers of `learnt.safetensors`, for people."""
CARD = "README.md"
READER = "raw rows"
"""The name in `targets` of a data set that reads raw rows of its own."""


class ExportSpec(Strict):
    """Everything but the tensors."""

    format: Literal[1] = 1
    trustbench: str
    label: str
    record: str
    """The id of the record whose arm this is."""
    trained_on: str
    """The rows that it was trained on, in words."""
    arm: ArmSpec
    targets: dict[str, str]
    """Name of a plugin -> its class."""
    model: int
    """The replicate whose random draws it takes."""
    salt: int
    shape: list[int]
    classes: list[str]
    groups: list[str]
    group_name: str
    features: list[dict[str, Any]]
    encoder: dict[str, Any] | None
    """The raw columns; None for data other than tables."""
    needs_group: bool
    """Whether decisions or sets depend on the group of a row."""
    twins: dict[str, int] = Field(default_factory=dict)
    """Other trained copies that answer, by their name in `learnt.safetensors` -> their number."""
    learnt: dict[str, dict[str, Scalar]] = Field(default_factory=dict)
    """Facts about what the methods learnt."""
    facts: dict[str, Scalar] = Field(default_factory=dict)
    privacy: list[Guarantee] = Field(default_factory=list)
    rows_held: dict[str, int] = Field(default_factory=dict)
    """Method -> how many training rows its part of `learnt.safetensors` holds."""
    sha256: dict[str, str] = Field(default_factory=dict)


def read_spec(folder: Path) -> ExportSpec:
    """Reads the description of an export.

    Raises:
        UserError: the folder is not an export, or a file of it is not as it was written.
    """
    path = folder / SPEC
    if not path.is_file():
        raise UserError(
            f"{folder} is not an exported model: it has no {SPEC}; give the folder that "
            "`trustbench export` wrote."
        )
    try:
        spec = ExportSpec.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(
            f"{path} is not a description that this version of trustbench reads; export the model "
            "again."
        ) from error
    for name, wanted in spec.sha256.items():
        if not (folder / name).is_file() or digest((folder / name).read_bytes()) != wanted:
            raise UserError(f"{folder / name} is missing or changed; export the model again.")
    return spec


def find_export(path: Path) -> Path:
    """The exported folder at a path: the path itself, or what an MLflow model there keeps."""
    inside = sorted(path.glob(f"data/*/{SPEC}")) or sorted(path.glob(f"*/{SPEC}"))
    return inside[0].parent if inside and not (path / SPEC).is_file() else path


def digest(data: bytes) -> str:
    """The checksum of a file."""
    return hashlib.sha256(data).hexdigest()
