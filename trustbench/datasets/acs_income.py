"""ACSIncome: does a working adult of the 2018 American Community Survey earn over 50,000?"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from trustbench.contracts import DataCard, Problem
from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.columns import (
    Categorical,
    Column,
    Numeric,
    Span,
    known,
    read_columns,
)
from trustbench.datasets.loading.files import FileDataset, RemoteFile
from trustbench.datasets.loading.products import Sensitive, attributes, product
from trustbench.datasets.loading.splits import draw, shares, strata_of, subsample
from trustbench.datasets.loading.tables import positions, read_parquet, refuse_unknown
from trustbench.datasets.loading.tabular import POOL_STATISTICS, groups_by, table_problem

FILE = "ACSIncome.test.parquet"
# RAC1P counts from 0 in this file: a code is one less than in the survey's dictionary.
RACES = {
    "0": "White alone",
    "1": "Black alone",
    "2": "American Indian alone",
    "3": "Alaska Native alone",
    "4": "American Indian and Alaska Native tribes",
    "5": "Asian alone",
    "6": "Native Hawaiian and Other Pacific Islander alone",
    "7": "Some Other Race alone",
    "8": "Two or More Races",
}
# 529 occupations and 223 birthplaces would give a hundred times more one-hot columns than the rest;
# they enter as the survey's own major groups.
OCCUPATIONS = {
    "MGR": Span(10, 440), "BUS": Span(500, 750), "FIN": Span(800, 960), "CMM": Span(1005, 1240),
    "ENG": Span(1305, 1560), "SCI": Span(1600, 1980), "CMS": Span(2001, 2060),
    "LGL": Span(2100, 2180), "EDU": Span(2205, 2555), "ENT": Span(2600, 2920),
    "MED": Span(3000, 3550), "HLS": Span(3601, 3655), "PRT": Span(3700, 3960),
    "EAT": Span(4000, 4160), "CLN": Span(4200, 4255), "PRS": Span(4330, 4655),
    "SAL": Span(4700, 4965), "OFF": Span(5000, 5940), "FFF": Span(6005, 6130),
    "CON": Span(6200, 6765), "EXT": Span(6800, 6950), "RPR": Span(7000, 7640),
    "PRD": Span(7700, 8990), "TRN": Span(9005, 9760), "MIL": Span(9800, 9830),
    "NONE": Span(9920, 9920),
}  # fmt: skip
BIRTHPLACES = {
    "US state": Span(1, 56), "US territory": Span(60, 78), "Europe": Span(100, 169),
    "Asia": Span(200, 254), "Northern America": Span(300, 302), "Latin America": Span(303, 399),
    "Africa": Span(400, 469), "Oceania": Span(500, 554),
}  # fmt: skip
# folktables keeps people over 16 who work at least an hour a week.
INPUTS = (
    Numeric("AGEP", mutable=False, low=17, high=120, whole=True),
    Categorical("COW", levels=known(*map(str, range(1, 10)))),
    Numeric("SCHL", low=1, high=24, whole=True, action="up"),
    Categorical("MAR", action="none", levels=known(*map(str, range(1, 6)))),
    Categorical("OCCP", spans=OCCUPATIONS),
    Categorical("POBP", mutable=False, spans=BIRTHPLACES),
    Categorical("RELP", action="none", levels=known(*map(str, range(18)))),
    Numeric("WKHP", low=1, high=99, whole=True),
    Categorical("SEX", mutable=False, levels=known("1", "2")),
    Categorical("RAC1P", mutable=False, levels=known(*RACES)),
)
CLASSES = ("<=50K", ">50K")
TARGET = Categorical("PINCP", levels={"0": CLASSES[0], "1": CLASSES[1]})
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "SEX": {"Male": ("1",), "Female": ("2",)},
    "RAC1P": {
        "White": ("0",),
        "Black": ("1",),
        "Asian": ("5",),
        "Other": ("2", "3", "4", "6", "7", "8"),
    },
}
WORDS = {"RAC1P": RACES}

CARD = DataCard(
    description="employed adults of the American Community Survey of 2018 (a fifth of folktables' "
    "ACSIncome, cut by a third party); class 1 is an income above 50,000 dollars. Occupation "
    "enters as major groups, birthplace as regions. As a group, race is White, Black, Asian or "
    "Other; the inputs keep all nine.",
    known_harms="Two sexes are recorded; the threshold is arbitrary and gaps depend on it; "
    "several states and one year are mixed (Ding et al. 2021, section 4).",
    licence="US Census PUMS terms; folktables: MIT",
    reference="Ding, Hardt, Miller and Schmidt 2021, Retiring Adult, arXiv 2108.04884",
    rows_public=True,
)


@dataclass(frozen=True)
class ACSIncome(FileDataset):
    """Income above 50,000 dollars (class 1) from the ten attributes of folktables' ACSIncome.

    25 % of the rows are the test set, 10 % the calibration pool, 7.5 % the validation set, the rest
    the training pool, stratified by class and group; `subsample` is the total number of rows, with
    the share of every split kept. Several attributes, [SEX,RAC1P], give the groups of their
    combinations.

    Reference: Ding et al. 2021, arXiv 2108.04884, section 3 and appendix B.
    """

    sensitive: Sensitive = "SEX"
    subsample: Annotated[int, Field(ge=1)] | None = 40000

    version: ClassVar[int] = 1
    reads_rows: ClassVar = (POOL_STATISTICS,)
    reference: ClassVar[str] = CARD.reference
    folder: ClassVar[str] = "acs_income"
    columns: ClassVar[tuple[Column, ...]] = (*INPUTS, TARGET)
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(FILE, None, "050a84d27232b70c14992ce996c9cd04fa1c6eccc8e1394760b6de3e01de9fc5"),
    )

    @override
    def load(self, data_dir: Path, streams: Streams) -> Problem:
        chosen = attributes("acs_income", self.sensitive)
        for name in chosen:
            refuse_unknown("acs_income", "sensitive", name, GROUPS)
        source = self.source(data_dir, FILE)
        raw = read_parquet(source, [c.name for c in self.columns])
        frame = read_columns(source, raw, self.columns)
        y = positions(frame["PINCP"], CLASSES)
        parts = [groups_by(s, frame[s].to_numpy(), GROUPS[s], WORDS.get(s)) for s in chosen]
        groups = product(parts, self.subsample)
        sizes = shares(len(y), {"test": 0.25, "calibration": 0.10, "validation": 0.075})
        splits = draw("acs_income", strata_of(y, groups.codes), sizes, streams.numpy("split"))
        rows = "all of them" if self.subsample is None else f"a subsample of {self.subsample:,}"
        return table_problem(
            name="acs_income",
            frame=frame,
            columns=INPUTS,
            y=y,
            classes=CLASSES,
            groups=groups,
            splits=subsample("acs_income", splits, self.subsample),
            card=replace(CARD, description=f"{len(raw):,} {CARD.description} Here {rows}."),
        )
