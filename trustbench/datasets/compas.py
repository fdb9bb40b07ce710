"""COMPAS: was a defendant of Broward County arrested again within two years?"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from trustbench.contracts import Array, DataCard, Problem
from trustbench.datasets._files import FileDataset, RemoteFile
from trustbench.datasets._splits import draw, shares, strata_of
from trustbench.datasets._tables import choose, codes, numbers, read_csv
from trustbench.datasets._tabular import (
    POOL_STATISTICS,
    Categorical,
    Groups,
    Numeric,
    table_problem,
)
from trustbench.seeding import Streams

FILE = "compas-scores-two-years.csv"
# What the tool itself computed (decile_score, score_text) is no input: it would be a model of
# a model. What happened after the screening (jail days, new charges) would be the answer.
INPUTS = (
    Numeric("age", mutable=False),
    Categorical("sex", mutable=False),
    Categorical("race", mutable=False),
    Numeric("juv_fel_count"),
    Numeric("juv_misd_count"),
    Numeric("juv_other_count"),
    Numeric("priors_count"),
    Categorical("c_charge_degree"),
)
FILTER = ("days_b_screening_arrest", "is_recid", "score_text")
OTHER = "Other"
GROUPS = {"race": ("African-American", "Caucasian", OTHER), "sex": ("Male", "Female")}

CARD = DataCard(
    description="6,172 of 7,214 defendants screened in Broward County, Florida, in 2013 and 2014, "
    "after ProPublica's filter; class 1, the favourable one, is no new arrest within two years. "
    "Race as a group has three values, since Hispanic (509), Other (343), Asian (31) and Native "
    "American (11) are too few to compare on a test set; the inputs keep all six.",
    known_harms="The label is arrest, not crime, and arrests depend on policing; the score was "
    "used on the people in these data; no use for decisions is justified (Bao et al. 2021, "
    "arXiv 2106.05498). Counts of earlier offences are treated as mutable: they are records.",
    licence="none stated; published by ProPublica",
    reference="Larson, Mattu, Kirchner and Angwin 2016, How We Analyzed the COMPAS Recidivism "
    "Algorithm, ProPublica",
)


@dataclass(frozen=True)
class Compas(FileDataset):
    """No new arrest within two years (class 1) from age, sex, race, charge and earlier offences.

    ProPublica's filter: charge within 30 days of the arrest, a recidivism flag, no ordinary
    traffic offence, a score. 25 % of the rows are the test set, 15 % the calibration pool, 10 %
    the validation set, the rest the training pool, stratified by class and group.

    Reference: Larson et al. 2016, ProPublica, and its notebook `Compas Analysis`.
    """

    sensitive: str = "race"

    version: ClassVar[int] = 1
    reads_rows: ClassVar = (POOL_STATISTICS,)
    reference: ClassVar[str] = CARD.reference
    folder: ClassVar[str] = "compas"
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(
            FILE,
            f"https://raw.githubusercontent.com/propublica/compas-analysis/master/{FILE}",
            "c451db85908b2f7fef1d83203bedf6b71ecda0d5af468d82ae62178f91d0cc7d",
        ),
    )

    def load(self, data_dir: Path, streams: Streams) -> Problem:
        """The problem from ProPublica's file; DataError when it cannot be read."""
        choose("compas", "sensitive", self.sensitive, GROUPS)
        frame = _read(self.locate(data_dir, FILE))
        y = codes("compas", frame, "two_year_recid", {"1": 0, "0": 1})
        names = GROUPS[self.sensitive]
        group = _group(frame, self.sensitive, names)
        sizes = shares(len(y), {"test": 0.25, "calibration": 0.15, "validation": 0.10})
        return table_problem(
            name="compas",
            frame=frame,
            columns=INPUTS,
            y=y,
            classes=("re-arrested", "not re-arrested"),
            groups=Groups(self.sensitive, names, group),
            splits=draw("compas", strata_of(y, group), sizes, streams.numpy("split")),
            card=CARD,
        )


def _read(path: Path) -> pd.DataFrame:
    names = [c.name for c in INPUTS]
    frame = read_csv("compas", path, [*names, *FILTER, "two_year_recid"])
    days = pd.to_numeric(frame["days_b_screening_arrest"], errors="coerce")
    keep = (
        days.between(-30, 30)
        & (frame["is_recid"] != "-1")
        & (frame["c_charge_degree"] != "O")
        & (frame["score_text"] != "N/A")
    )
    frame = frame[keep].reset_index(drop=True)
    for column in INPUTS:
        if isinstance(column, Numeric):
            frame[column.name] = numbers("compas", frame, column.name)
    return frame


def _group(frame: pd.DataFrame, sensitive: str, names: tuple[str, ...]) -> Array:
    index = {g: i for i, g in enumerate(names)}
    if OTHER not in index:
        return codes("compas", frame, sensitive, index)
    merged = frame[sensitive].where(frame[sensitive].isin(names), OTHER)
    return merged.map(index).to_numpy(dtype="int64")
