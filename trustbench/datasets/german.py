"""German credit: is an applicant of a southern German bank in 1973-1975 a good risk?"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from typing_extensions import override

from trustbench.contracts import DataCard, GroupRule, Problem, SensitiveColumn
from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.columns import Categorical, Column, Numeric, known, read_columns
from trustbench.datasets.loading.files import FileDataset, RemoteFile
from trustbench.datasets.loading.products import Sensitive, attributes, product
from trustbench.datasets.loading.splits import draw, shares, strata_of
from trustbench.datasets.loading.tables import positions, read_fields, refuse_unknown
from trustbench.datasets.loading.tabular import POOL_STATISTICS, Groups, groups_by, table_problem

FILE = "german.data"
# Attribute 9 as UCI documents it.
STATUS = {
    "A91": "divorced or separated (A91)",
    "A92": "divorced, separated or married (A92)",
    "A93": "single (A93)",
    "A94": "married or widowed (A94)",
    "A95": "single (A95)",
}
SEX = {"male": ("A91", "A93", "A94"), "female": ("A92", "A95")}
INPUTS = (
    Categorical("checking_account", levels=known("A11", "A12", "A13", "A14")),
    Numeric("duration_months", low=1, whole=True),
    Categorical("credit_history", levels=known("A30", "A31", "A32", "A33", "A34")),
    Categorical(
        "purpose",
        levels=known(
            "A40", "A41", "A42", "A43", "A44", "A45", "A46", "A47", "A48", "A49", "A410",
        ),
    ),
    Numeric("credit_amount", low=1),
    Categorical("savings", levels=known("A61", "A62", "A63", "A64", "A65")),
    Categorical("employment_since", levels=known("A71", "A72", "A73", "A74", "A75")),
    Numeric("installment_rate", low=0, high=100),
    Categorical("personal_status_sex", mutable=False, levels=known(*STATUS)),
    Categorical("other_debtors", levels=known("A101", "A102", "A103")),
    Numeric("residence_since", low=0, high=120),
    Categorical("property", levels=known("A121", "A122", "A123", "A124")),
    Numeric("age", mutable=False, low=0, high=120, whole=True),
    Categorical("other_installment_plans", levels=known("A141", "A142", "A143")),
    Categorical("housing", levels=known("A151", "A152", "A153")),
    Numeric("existing_credits", low=0, whole=True),
    Categorical("job", levels=known("A171", "A172", "A173", "A174")),
    Numeric("dependents", low=0, whole=True, action="none"),
    Categorical("telephone", levels=known("A191", "A192")),
    Categorical("foreign_worker", mutable=False, levels=known("A201", "A202")),
)  # fmt: skip
CLASSES = ("bad risk", "good risk")
RISK = Categorical("risk", levels={"1": CLASSES[1], "2": CLASSES[0]})
SENSITIVE = {"sex": "from the personal status", "age": "split at 25 years"}

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

    `sensitive`: `age` splits at 25 years; `sex` comes from the personal-status code, which the card
    calls unreliable. 30 % of the rows are the test set, 20 % the calibration pool (each replicate
    draws half of it), 10 % the validation set and 40 % the training pool, stratified by class and
    group.

    Reference: Kamiran and Calders 2009, Classifying without Discriminating, section V (the
    split at 25 years).
    """

    sensitive: Sensitive = "age"

    version: ClassVar[int] = 1
    reads_rows: ClassVar = (POOL_STATISTICS,)
    reference: ClassVar[str] = CARD.reference
    folder: ClassVar[str] = "german"
    columns: ClassVar[tuple[Column, ...]] = (*INPUTS, RISK)
    # UCI publishes the size but no checksum.
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(
            FILE,
            "https://archive.ics.uci.edu/ml/machine-learning-databases/statlog/german/german.data",
            sha256=None,
            size=79793,
        ),
    )

    @override
    def load(self, data_dir: Path, streams: Streams) -> Problem:
        chosen = attributes("german", self.sensitive)
        for name in chosen:
            refuse_unknown("german", "sensitive", name, SENSITIVE)
        source = self.source(data_dir, FILE)
        raw = read_fields(source, [c.name for c in self.columns], separator=None)
        frame = read_columns(source, raw, self.columns)
        y = positions(frame["risk"], CLASSES)
        groups = product([_groups(frame, name) for name in chosen])
        sizes = shares(len(y), {"test": 0.30, "calibration": 0.20, "validation": 0.10})
        return table_problem(
            name="german",
            frame=frame,
            columns=INPUTS,
            y=y,
            classes=CLASSES,
            groups=groups,
            splits=draw("german", strata_of(y, groups.codes), sizes, streams.numpy("split")),
            card=CARD,
        )


def _groups(frame: pd.DataFrame, sensitive: str) -> Groups:
    if sensitive == "sex":
        column = "personal_status_sex"
        return groups_by("sex", frame[column].to_numpy(), SEX, STATUS, column)
    names = ("over 25", "25 or younger")
    bins = SensitiveColumn("age", {"low": names[1], "high": names[0]}, edges=(25.0,))
    rule = GroupRule((bins,), {name: k for k, name in enumerate(names)})
    young = (frame["age"].to_numpy() <= 25).astype(np.int64)
    return Groups("age", names, young, rule=rule)
