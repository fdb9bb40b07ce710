"""What turns the rows of a table into the inputs of a torch module."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from pydantic import ValidationError

from trustbench.contracts import Array
from trustbench.contracts.encoding import Encoder
from trustbench.contracts.given import ModelSource
from trustbench.errors import FAILURES, UserError, first_sentence
from trustbench.models import targets
from trustbench.models.given.columns import Rows, numbers
from trustbench.models.given.files import existing


class RowInputs(Protocol):
    """Rows of a table, or an array of inputs -> inputs float32 [n, *shape]."""

    def __call__(self, rows: Rows) -> Array:
        """Raises UserError if the rows cannot be inputs."""
        ...

    def signature(self) -> str:
        """What it takes and does, for a card."""
        ...


@dataclass(frozen=True)
class Encoded:
    """The columns of an encoder, which holds the scales and levels of training."""

    encoder: Encoder

    def __call__(self, rows: Rows) -> Array:
        """An array is taken as encoded already."""
        if isinstance(rows, pd.DataFrame):
            return self.encoder.encode(rows)
        return np.asarray(rows, dtype=np.float32)

    def signature(self) -> str:
        """The names of the columns."""
        return "encoded " + ", ".join(c.name for c in self.encoder.columns)


@dataclass(frozen=True)
class Transformed:
    """A user's own function."""

    name: str
    function: Callable[[Any], Any]

    def __call__(self, rows: Rows) -> Array:
        """An array is taken as transformed already."""
        if not isinstance(rows, pd.DataFrame):
            return np.asarray(rows, dtype=np.float32)
        try:
            made = np.asarray(self.function(rows), dtype=np.float32)
        except FAILURES as error:
            raise UserError(
                f"transform {self.name} fails on the rows of the table: {first_sentence(error)}."
            ) from error
        if len(made) != len(rows) or made.ndim < 2:
            raise UserError(
                f"transform {self.name} returns an array {made.shape} for {len(rows)} rows; return "
                "one input for each row, [n, d]."
            )
        return made

    def signature(self) -> str:
        """The name of the function."""
        return f"transformed by {self.name}"


@dataclass(frozen=True)
class Numbers:
    """The columns of numbers as they are, in the order of the table."""

    def __call__(self, rows: Rows) -> Array:
        """Refuses text: its encoding cannot be guessed."""
        width = rows.shape[1] if isinstance(rows, pd.DataFrame) else int(np.prod(rows.shape[1:]))
        if isinstance(rows, pd.DataFrame):
            return numbers(rows, width, "module").astype(np.float32)
        return np.asarray(rows, dtype=np.float32)

    def signature(self) -> str:
        """As they are."""
        return "columns of numbers as they are"


def inputs_of(source: ModelSource) -> RowInputs:
    """The preprocessing that the options `encoder` or `transform` name, else numbers as they are.

    Raises:
        UserError: both are named, or the one that is cannot be used.
    """
    encoder, transform = (source.options.get(k) for k in ("encoder", "transform"))
    if encoder and transform:
        raise UserError("both encoder and transform are given; name one of them.")
    if transform:
        found = targets.load_function(str(transform), "transform")
        return Transformed(str(transform), found)
    return Numbers() if not encoder else Encoded(_encoder(str(encoder)))


def _encoder(file: str) -> Encoder:
    path = existing(Path(file).expanduser(), "encoder")
    try:
        return Encoder.from_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(
            f"encoder {path} does not describe the columns of a table ({error.error_count()} "
            "faults); give a file that Encoder.to_json wrote."
        ) from error
