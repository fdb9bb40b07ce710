"""COMPAS: was a defendant of Broward County arrested again within two years?"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pandas as pd
from typing_extensions import override

from trustbench.contracts import DataCard, Problem, Read
from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.columns import Categorical, Column, Numeric, known, read_columns
from trustbench.datasets.loading.files import FileDataset, RemoteFile
from trustbench.datasets.loading.products import Sensitive, attributes, product
from trustbench.datasets.loading.splits import draw, shares, strata_of
from trustbench.datasets.loading.tables import positions, read_csv, refuse_unknown
from trustbench.datasets.loading.tabular import POOL_STATISTICS, groups_by, table_problem
from trustbench.methods.causal.learning import Fitting
from trustbench.methods.causal.problems import LEARNT, learn_on

FILE = "compas-scores-two-years.csv"
# What the tool itself computed (decile_score, score_text) is not an input: it would be a model of a
# model. What happened after the screening (jail days, new charges) would give away the answer.
INPUTS = (
    Numeric("age", mutable=False, low=0, high=120, whole=True),
    Categorical("sex", mutable=False, levels=known("Male", "Female")),
    Categorical(
        "race",
        mutable=False,
        levels=known(
            "African-American", "Asian", "Caucasian", "Hispanic", "Native American", "Other",
        ),
    ),
    Numeric("juv_fel_count", low=0, whole=True),
    Numeric("juv_misd_count", low=0, whole=True),
    Numeric("juv_other_count", low=0, whole=True),
    Numeric("priors_count", low=0, whole=True),
    Categorical("c_charge_degree", action="none", levels=known("F", "M", "O")),
)  # fmt: skip
CAUSAL = (
    Numeric("age", mutable=False),
    Categorical("sex", mutable=False, levels=known("Male", "Female")),
    Numeric("caucasian", mutable=False),
    Numeric("priors_count"),
)
GRAPH = {"caucasian": ("age", "sex"), "priors_count": ("age", "sex", "caucasian")}
FILTER = (
    Numeric("days_b_screening_arrest", whole=True, missing=""),
    Categorical("is_recid", levels=known("-1", "0", "1")),
    Categorical("score_text", levels=known("Low", "Medium", "High", "N/A")),
)
CLASSES = ("re-arrested", "not re-arrested")
TARGET = Categorical("two_year_recid", levels={"1": CLASSES[0], "0": CLASSES[1]})
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "race": {
        "African-American": ("African-American",),
        "Caucasian": ("Caucasian",),
        "Other": ("Hispanic", "Other", "Asian", "Native American"),
    },
    "sex": {"Male": ("Male",), "Female": ("Female",)},
}

CARD = DataCard(
    description="defendants screened in Broward County, Florida, in 2013 and 2014, after "
    "ProPublica's filter; class 1, the favourable one, is no new arrest within two years. Race as "
    "a group has three values, since the others have too few rows to compare on a test set; the "
    "inputs keep all six.",
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
    Several attributes, [race,sex], give the groups of their combinations.

    With `causal`, inputs are the four of a published causal graph, and `Problem.scm` is learnt on
    it from the training pool; the sensitive variable of the graph is sex.

    Reference: Larson et al. 2016, ProPublica, and its notebook `Compas Analysis`; graph: the
    authors' code of CAPIFY (Ehyaei et al. 2023).
    """

    sensitive: Sensitive = "race"
    causal: bool = False

    version: ClassVar[int] = 1
    reads_rows: ClassVar = (POOL_STATISTICS,)
    reference: ClassVar[str] = CARD.reference
    folder: ClassVar[str] = "compas"
    columns: ClassVar[tuple[Column, ...]] = (*INPUTS, *FILTER, TARGET)
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(
            FILE,
            f"https://raw.githubusercontent.com/propublica/compas-analysis/master/{FILE}",
            "c451db85908b2f7fef1d83203bedf6b71ecda0d5af468d82ae62178f91d0cc7d",
        ),
    )

    @override
    def declares(self) -> tuple[Read, ...]:
        return (*self.reads_rows, LEARNT) if self.causal else self.reads_rows

    @override
    def load(self, data_dir: Path, streams: Streams) -> Problem:
        chosen = attributes("compas", self.sensitive)
        for name in chosen:
            refuse_unknown("compas", "sensitive", name, GROUPS)
        source = self.source(data_dir, FILE)
        raw = read_csv(source, [c.name for c in self.columns])
        frame = _filtered(read_columns(source, raw, self.columns))
        y = positions(frame["two_year_recid"], CLASSES)
        groups = product([groups_by(s, frame[s].to_numpy(), GROUPS[s]) for s in chosen])
        sizes = shares(len(y), {"test": 0.25, "calibration": 0.15, "validation": 0.10})
        derived = frame.assign(caucasian=(frame["race"] == "Caucasian").astype(int))
        problem = table_problem(
            name="compas",
            frame=derived if self.causal else frame,
            columns=CAUSAL if self.causal else INPUTS,
            y=y,
            classes=CLASSES,
            groups=groups,
            splits=draw("compas", strata_of(y, groups.codes), sizes, streams.numpy("split")),
            card=replace(CARD, description=f"{len(frame):,} of {len(raw):,} {CARD.description}"),
        )
        if not self.causal:
            return problem
        return replace(problem, scm=learn_on(problem, GRAPH, ("sex",), streams, Fitting(epochs=50)))


def _filtered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[
        frame["days_b_screening_arrest"].between(-30, 30)
        & (frame["is_recid"] != "-1")
        & (frame["c_charge_degree"] != "O")
        & (frame["score_text"] != "N/A")
    ]
