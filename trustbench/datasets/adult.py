"""Adult: does a person of the 1994 US census earn more than 50,000 dollars a year?"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import pandas as pd
from pydantic import Field

from trustbench.contracts import Array, DataCard, Problem, SplitName
from trustbench.datasets._files import FileDataset, RemoteFile
from trustbench.datasets._splits import draw, strata_of, stratified_order, subsample
from trustbench.datasets._tables import choose, codes, numbers, read_fields
from trustbench.datasets._tabular import (
    POOL_STATISTICS,
    Categorical,
    Groups,
    Numeric,
    table_problem,
)
from trustbench.seeding import Streams

ARCHIVE = "https://archive.ics.uci.edu/static/public/2/adult.zip"
FIELDS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "income",
)
# `fnlwgt` is how many people a row stands for in the census, not something about the person;
# `education` says in words what `education-num` says as a number.
INPUTS = (
    Numeric("age", mutable=False),
    Categorical("workclass"),
    Numeric("education-num"),
    Categorical("marital-status"),
    Categorical("occupation"),
    Categorical("relationship"),
    Categorical("race", mutable=False),
    Categorical("sex", mutable=False),
    Numeric("capital-gain"),
    Numeric("capital-loss"),
    Numeric("hours-per-week"),
    Categorical("native-country", mutable=False),
)
GROUPS = {
    "sex": ("Male", "Female"),
    "race": ("White", "Black", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other"),
}
HELD_OUT: dict[SplitName, int] = {"calibration": 4000, "validation": 3000}

CARD = DataCard(
    description="48,842 adults of the 1994 US census; class 1 is an income above 50,000 dollars. "
    "Dropped: fnlwgt (a sampling weight) and education (in words; the number stays). Missing "
    "workclass (2,799), occupation (2,809) and native-country (857) are a level of their own, "
    "'unknown'. Without the weight, 15 % of the rows repeat another's inputs.",
    known_harms="The threshold and the population are those of 1994, two sexes and five races "
    "are recorded, and 'relationship' reveals sex; no decision about people today should rest "
    "on a model of these data (Ding et al. 2021, arXiv 2108.04884, section 2).",
    licence="CC BY 4.0",
    reference="Becker and Kohavi 1996, UCI Machine Learning Repository, doi 10.24432/C5XW20",
    rows_public=True,
)


@dataclass(frozen=True)
class Adult(FileDataset):
    """Income above 50,000 dollars (class 1) from 12 attributes of a census record.

    The official test file is the test set; 4,000 rows of the training file are the calibration
    pool, 3,000 the validation set, the rest the training pool. The sensitive attribute stays
    among the inputs. `subsample` is the number of rows in all, stratified by class and group;
    every split keeps its share.

    Reference: Kohavi 1996, KDD, section 4; official split of the UCI repository.
    """

    sensitive: str = "sex"
    subsample: Annotated[int, Field(ge=1)] | None = None

    version: ClassVar[int] = 1
    reads_rows: ClassVar = (POOL_STATISTICS,)
    reference: ClassVar[str] = CARD.reference
    folder: ClassVar[str] = "adult"
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(
            "adult.data",
            ARCHIVE,
            "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
            member="adult.data",
        ),
        RemoteFile(
            "adult.test",
            ARCHIVE,
            "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
            member="adult.test",
        ),
    )

    def load(self, data_dir: Path, streams: Streams) -> Problem:
        """The problem from adult.data and adult.test; DataError when they cannot be read."""
        choose("adult", "sensitive", self.sensitive, GROUPS)
        learn, test = (self._read(data_dir, name) for name in ("adult.data", "adult.test"))
        frame = pd.concat([learn, test], ignore_index=True)
        y = codes("adult", frame, "income", {"<=50K": 0, ">50K": 1})
        names = GROUPS[self.sensitive]
        group = codes("adult", frame, self.sensitive, {g: i for i, g in enumerate(names)})
        splits = _split(strata_of(y, group), len(learn), streams)
        return table_problem(
            name="adult",
            frame=frame,
            columns=INPUTS,
            y=y,
            classes=("<=50K", ">50K"),
            groups=Groups(self.sensitive, names, group),
            splits=subsample("adult", splits, self.subsample),
            card=_card(self.subsample),
        )

    def _read(self, data_dir: Path, name: str) -> pd.DataFrame:
        path = self.locate(data_dir, name)
        frame = read_fields("adult", path, FIELDS, separator=",", comment="|")
        frame["income"] = frame["income"].str.removesuffix(".")  # adult.test ends lines in a dot
        for column in INPUTS:
            if isinstance(column, Numeric):
                frame[column.name] = numbers("adult", frame, column.name)
            else:
                frame[column.name] = frame[column.name].replace("?", "unknown")
        return frame


def _split(strata: Array, n_learn: int, streams: Streams) -> dict[SplitName, Array]:
    rng = streams.numpy("split")
    splits = draw("adult", strata[:n_learn], HELD_OUT, rng)
    return {**splits, "test": n_learn + stratified_order(strata[n_learn:], rng)}


def _card(rows: int | None) -> DataCard:
    if rows is None:
        return CARD
    return replace(CARD, description=f"{CARD.description} Here a subsample of {rows:,} rows.")
