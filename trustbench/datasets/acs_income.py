"""ACSIncome: does a working adult of the 2018 American Community Survey earn over 50,000?"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from trustbench.contracts import Array, DataCard, Problem
from trustbench.datasets._files import FileDataset, RemoteFile
from trustbench.datasets._splits import draw, shares, strata_of, subsample
from trustbench.datasets._tables import choose, numbers, require
from trustbench.datasets._tabular import (
    POOL_STATISTICS,
    Categorical,
    Groups,
    Numeric,
    table_problem,
)
from trustbench.errors import DataError
from trustbench.seeding import Streams

FILE = "ACSIncome.test.parquet"
INPUTS = (
    Numeric("AGEP", mutable=False),
    Categorical("COW"),
    Numeric("SCHL"),
    Categorical("MAR"),
    Categorical("OCCP"),
    Categorical("POBP", mutable=False),
    Categorical("RELP"),
    Numeric("WKHP"),
    Categorical("SEX", mutable=False),
    Categorical("RAC1P", mutable=False),
)
GROUPS = {"SEX": ("Male", "Female"), "RAC1P": ("White", "Black", "Asian", "Other")}
# RAC1P counts from 0 in this file: 0 White, 1 Black, 5 Asian alone; the rest is merged.
RACE = {0: 0, 1: 1, 5: 2}
# 529 occupations and 223 birthplaces are more one-hot columns than the rest a hundred times
# over; they enter by the survey's own major groups: the first code of each, and its name.
OCCUPATIONS = {
    10: "MGR", 500: "BUS", 800: "FIN", 1000: "CMM", 1300: "ENG", 1600: "SCI", 2000: "CMS",
    2100: "LGL", 2200: "EDU", 2600: "ENT", 3000: "MED", 3600: "HLS", 3700: "PRT", 4000: "EAT",
    4200: "CLN", 4300: "PRS", 4700: "SAL", 5000: "OFF", 6000: "FFF", 6200: "CON", 6800: "EXT",
    7000: "RPR", 7700: "PRD", 9000: "TRN", 9800: "MIL", 9900: "NONE",
}  # fmt: skip
BIRTHPLACES = {
    1: "US state", 60: "US territory", 100: "Europe", 200: "Asia", 300: "Northern America",
    303: "Latin America", 400: "Africa", 500: "Oceania",
}  # fmt: skip

CARD = DataCard(
    description="332,900 employed adults of the American Community Survey of 2018 (a fifth of "
    "folktables' ACSIncome, cut by a third party); class 1 is an income above 50,000 dollars. "
    "Occupation (529 codes) enters as 25 major groups, birthplace (223) as 8 regions. As a "
    "group, race is White, Black, Asian or Other (all other codes); the inputs keep all nine.",
    known_harms="Two sexes are recorded; the threshold is arbitrary and gaps depend on it; "
    "several states and one year are mixed (Ding et al. 2021, section 4).",
    licence="US Census PUMS terms; folktables: MIT",
    reference="Ding, Hardt, Miller and Schmidt 2021, Retiring Adult, arXiv 2108.04884",
    rows_public=True,
)


@dataclass(frozen=True)
class ACSIncome(FileDataset):
    """Income above 50,000 dollars (class 1) from the ten attributes of folktables' ACSIncome.

    25 % of the rows are the test set, 10 % the calibration pool, 7.5 % the validation set, the
    rest the training pool, stratified by class and group; `subsample` is the number of rows in
    all, with every split's share kept.

    Reference: Ding et al. 2021, arXiv 2108.04884, section 3 and appendix B.
    """

    sensitive: str = "SEX"
    subsample: Annotated[int, Field(ge=1)] | None = 40000

    version: ClassVar[int] = 1
    reads_rows: ClassVar = (POOL_STATISTICS,)
    reference: ClassVar[str] = CARD.reference
    folder: ClassVar[str] = "acs_income"
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(FILE, None, "050a84d27232b70c14992ce996c9cd04fa1c6eccc8e1394760b6de3e01de9fc5"),
    )

    def load(self, data_dir: Path, streams: Streams) -> Problem:
        """The problem from the parquet file; DataError when it cannot be read."""
        choose("acs_income", "sensitive", self.sensitive, GROUPS)
        frame = _read(self.locate(data_dir, FILE))
        y = (frame["PINCP"].to_numpy() > 0).astype(np.int64)
        group = _group(frame, self.sensitive)
        sizes = shares(len(y), {"test": 0.25, "calibration": 0.10, "validation": 0.075})
        splits = draw("acs_income", strata_of(y, group), sizes, streams.numpy("split"))
        rows = "all of them" if self.subsample is None else f"a subsample of {self.subsample:,}"
        return table_problem(
            name="acs_income",
            frame=frame,
            columns=INPUTS,
            y=y,
            classes=("<=50K", ">50K"),
            groups=Groups(self.sensitive, GROUPS[self.sensitive], group),
            splits=subsample("acs_income", splits, self.subsample),
            card=replace(CARD, description=f"{CARD.description} Here {rows}."),
        )


def _read(path: Path) -> pd.DataFrame:
    from pyarrow import ArrowException

    try:
        frame = pd.read_parquet(path)
    except ArrowException as error:
        raise DataError(
            f"dataset acs_income: {path} is no parquet file ({' '.join(str(error).split())}); "
            "put the original there."
        ) from error
    names = [c.name for c in INPUTS]
    require("acs_income", path, frame, [*names, "PINCP"])
    values = {n: numbers("acs_income", frame, n) for n in [*names, "PINCP"]}
    table = pd.DataFrame(values)
    for column in INPUTS:
        if isinstance(column, Categorical):
            table[column.name] = table[column.name].astype(np.int64)
    table["OCCP"] = _ranges(table["OCCP"].to_numpy(), OCCUPATIONS)
    table["POBP"] = _ranges(table["POBP"].to_numpy(), BIRTHPLACES)
    return table


def _ranges(codes: Array, starts: dict[int, str]) -> Array:
    """The name of the range that each code falls into."""
    names = np.array(list(starts.values()), dtype=object)
    index = np.searchsorted(list(starts), codes, side="right") - 1
    return np.asarray(names[index.clip(min=0)])


def _group(frame: pd.DataFrame, sensitive: str) -> Array:
    if sensitive == "SEX":
        return np.asarray(frame["SEX"] == 2, dtype=np.int64)
    return np.asarray(frame["RAC1P"].map(RACE).fillna(3), dtype=np.int64)
