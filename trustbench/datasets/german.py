"""German credit: is an applicant of a southern German bank in 1973-1975 a good risk?"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from trustbench.contracts import Array, DataCard, Problem
from trustbench.datasets._files import FileDataset, RemoteFile
from trustbench.datasets._splits import draw, shares, strata_of
from trustbench.datasets._tables import choose, codes, numbers, read_fields
from trustbench.datasets._tabular import (
    POOL_STATISTICS,
    Categorical,
    Groups,
    Numeric,
    table_problem,
)
from trustbench.seeding import Streams

FILE = "german.data"
INPUTS = (
    Categorical("checking_account"),
    Numeric("duration_months"),
    Categorical("credit_history"),
    Categorical("purpose"),
    Numeric("credit_amount"),
    Categorical("savings"),
    Categorical("employment_since"),
    Numeric("installment_rate"),
    Categorical("personal_status_sex", mutable=False),
    Categorical("other_debtors"),
    Numeric("residence_since"),
    Categorical("property"),
    Numeric("age", mutable=False),
    Categorical("other_installment_plans"),
    Categorical("housing"),
    Numeric("existing_credits"),
    Categorical("job"),
    Numeric("dependents"),
    Categorical("telephone"),
    Categorical("foreign_worker", mutable=False),
)
GROUPS = {"sex": ("male", "female"), "age": ("over 25", "25 or younger")}
# Attribute 9 as UCI documents it: A92 and A95 are women, A91, A93 and A94 men.
SEX = {"A91": 0, "A92": 1, "A93": 0, "A94": 0, "A95": 1}

CARD = DataCard(
    description="1,000 credits granted by a bank in southern Germany, 1973 to 1975; class 1 is a "
    "good risk. Bad risks are oversampled (300). The test set has 300 rows and a replicate's "
    "half about 200: intervals are wide.",
    known_harms="The documented codes are partly wrong: A92, read as 'female', also holds single "
    "men, so the attribute sex is unreliable here and age is the default (Groemping 2019, "
    "South German Credit Data, Report 4/2019, Beuth University). Only granted credits "
    "are recorded.",
    licence="CC BY 4.0",
    reference="Hofmann 1994, UCI 'Statlog (German Credit Data)', doi 10.24432/C5NC77",
    rows_public=True,
)


@dataclass(frozen=True)
class German(FileDataset):
    """A good credit risk (class 1) from 20 attributes of the applicant and the credit.

    `sensitive`: `age` splits at 25 years; `sex` is what the personal-status code says, which
    the card calls unreliable. 30 % of the rows are the test set, 20 % the calibration pool
    (each replicate draws half of it), 10 % the validation set and 40 % the training pool,
    stratified by class and group.

    Reference: Kamiran and Calders 2009, Classifying without Discriminating, section V (the
    split at 25 years).
    """

    sensitive: str = "age"

    version: ClassVar[int] = 1
    reads_rows: ClassVar = (POOL_STATISTICS,)
    reference: ClassVar[str] = CARD.reference
    folder: ClassVar[str] = "german"
    # UCI publishes the size and no checksum.
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(
            FILE,
            "https://archive.ics.uci.edu/ml/machine-learning-databases/statlog/german/german.data",
            sha256=None,
            size=79793,
        ),
    )

    def load(self, data_dir: Path, streams: Streams) -> Problem:
        """The problem from german.data; DataError when it cannot be read."""
        choose("german", "sensitive", self.sensitive, GROUPS)
        frame = _read(self.locate(data_dir, FILE))
        y = codes("german", frame, "risk", {"1": 1, "2": 0})
        group = _group(frame, self.sensitive)
        sizes = shares(len(y), {"test": 0.30, "calibration": 0.20, "validation": 0.10})
        return table_problem(
            name="german",
            frame=frame,
            columns=INPUTS,
            y=y,
            classes=("bad risk", "good risk"),
            groups=Groups(self.sensitive, GROUPS[self.sensitive], group),
            splits=draw("german", strata_of(y, group), sizes, streams.numpy("split")),
            card=CARD,
        )


def _read(path: Path) -> pd.DataFrame:
    names = [c.name for c in INPUTS]
    frame = read_fields("german", path, [*names, "risk"], separator=r"\s+")
    for column in INPUTS:
        if isinstance(column, Numeric):
            frame[column.name] = numbers("german", frame, column.name)
    return frame


def _group(frame: pd.DataFrame, sensitive: str) -> Array:
    if sensitive == "sex":
        return codes("german", frame, "personal_status_sex", SEX)
    return (frame["age"].to_numpy() <= 25).astype(np.int64)
