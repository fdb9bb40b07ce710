"""Adult: does a person of the 1994 US census earn more than 50,000 dollars a year?"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import pandas as pd
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, DataCard, Problem, Read, SplitName
from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.columns import Categorical, Column, Numeric, known, read_columns
from trustbench.datasets.loading.files import FileDataset, RemoteFile
from trustbench.datasets.loading.products import Sensitive, attributes, product
from trustbench.datasets.loading.splits import draw, strata_of, stratified_order, subsample
from trustbench.datasets.loading.tables import positions, read_fields, refuse_unknown
from trustbench.datasets.loading.tabular import POOL_STATISTICS, Groups, levels_rule, table_problem
from trustbench.methods.causal.learning import Fitting
from trustbench.methods.causal.problems import LEARNT, learn_on

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
UNKNOWN = {"?": "unknown"}  # the file's mark for a missing value: a level of its own
# `fnlwgt` is how many people a row represents in the census, not a property of the person;
# `education` gives in words what `education-num` gives as a number. Levels are those of
# adult.names; its extraction kept people over 16 who worked at least an hour a week.
INPUTS = (
    Numeric("age", mutable=False, low=17, high=120, whole=True),
    Categorical(
        "workclass",
        levels=UNKNOWN
        | known(
            "Private", "Self-emp-not-inc", "Self-emp-inc", "Federal-gov", "Local-gov",
            "State-gov", "Without-pay", "Never-worked",
        ),
    ),
    Numeric("education-num", low=1, high=16, whole=True, action="up"),
    Categorical(
        "marital-status",
        action="none",
        levels=known(
            "Married-civ-spouse", "Divorced", "Never-married", "Separated", "Widowed",
            "Married-spouse-absent", "Married-AF-spouse",
        ),
    ),
    Categorical(
        "occupation",
        levels=UNKNOWN
        | known(
            "Tech-support", "Craft-repair", "Other-service", "Sales", "Exec-managerial",
            "Prof-specialty", "Handlers-cleaners", "Machine-op-inspct", "Adm-clerical",
            "Farming-fishing", "Transport-moving", "Priv-house-serv", "Protective-serv",
            "Armed-Forces",
        ),
    ),
    Categorical(
        "relationship",
        action="none",
        levels=known(
            "Wife", "Own-child", "Husband", "Not-in-family", "Other-relative", "Unmarried",
        ),
    ),
    Categorical(
        "race",
        mutable=False,
        levels=known("White", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other", "Black"),
    ),
    Categorical("sex", mutable=False, levels=known("Female", "Male")),
    Numeric("capital-gain", low=0),
    Numeric("capital-loss", low=0),
    Numeric("hours-per-week", low=1, high=168),
    Categorical(
        "native-country",
        mutable=False,
        levels=UNKNOWN
        | known(
            "United-States", "Cambodia", "England", "Puerto-Rico", "Canada", "Germany",
            "Outlying-US(Guam-USVI-etc)", "India", "Japan", "Greece", "South", "China", "Cuba",
            "Iran", "Honduras", "Philippines", "Italy", "Poland", "Jamaica", "Vietnam",
            "Mexico", "Portugal", "Ireland", "France", "Dominican-Republic", "Laos", "Ecuador",
            "Taiwan", "Haiti", "Columbia", "Hungary", "Guatemala", "Nicaragua", "Scotland",
            "Thailand", "Yugoslavia", "El-Salvador", "Trinadad&Tobago", "Peru", "Hong",
            "Holand-Netherlands",
        ),
    ),
)  # fmt: skip
CAUSAL = (
    Categorical("sex", mutable=False, levels=known("Female", "Male")),
    Numeric("age", mutable=False),
    Numeric("native", mutable=False),
    Numeric("married", action="none"),
    Numeric("education-num", action="up"),
    Numeric("hours-per-week"),
)
ROOTS = ("sex", "age", "native")
GRAPH = {
    "married": ROOTS,
    "education-num": (*ROOTS, "married"),
    "hours-per-week": (*ROOTS, "married"),
}
CLASSES = ("<=50K", ">50K")
# adult.test ends every line in a dot.
INCOME = Categorical("income", levels=known(*CLASSES) | {f"{c}.": c for c in CLASSES})
GROUPS = {
    "sex": ("Male", "Female"),
    "race": ("White", "Black", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other"),
}
HELD_OUT: dict[SplitName, int] = {"calibration": 4000, "validation": 3000}

CARD = DataCard(
    description="adults of the 1994 US census; class 1 is an income above 50,000 dollars. "
    "Dropped: fnlwgt (a sampling weight) and education (in words; the number stays). Without the "
    "weight, 15 % of the rows repeat another's inputs.",
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
    pool, 3,000 the validation set, the rest the training pool. The sensitive attribute stays among
    the inputs; several, [sex,race], give the groups of their combinations. `subsample` is the total
    number of rows, stratified by class and group; every split keeps its share.

    With `causal`, inputs are the six of a published causal graph (native: born in the United
    States; married: with a spouse), and `Problem.scm` is learnt on it from the training pool.

    Reference: Kohavi 1996, KDD, section 4; official split of the UCI repository; graph: the
    authors' code of CAPIFY (Ehyaei et al. 2023).
    """

    sensitive: Sensitive = "sex"
    subsample: Annotated[int, Field(ge=1)] | None = None
    causal: bool = False

    version: ClassVar[int] = 1
    reads_rows: ClassVar = (POOL_STATISTICS,)
    reference: ClassVar[str] = CARD.reference
    folder: ClassVar[str] = "adult"
    columns: ClassVar[tuple[Column, ...]] = (*INPUTS, INCOME)
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

    @override
    def declares(self) -> tuple[Read, ...]:
        return (*self.reads_rows, LEARNT) if self.causal else self.reads_rows

    @override
    def load(self, data_dir: Path, streams: Streams) -> Problem:
        chosen = attributes("adult", self.sensitive)
        for name in chosen:
            refuse_unknown("adult", "sensitive", name, GROUPS)
        learn, test = (self._read(data_dir, name) for name in ("adult.data", "adult.test"))
        frame = pd.concat([learn, test], ignore_index=True)
        y = positions(frame["income"], CLASSES)
        groups = product([_groups(frame, name) for name in chosen], self.subsample)
        splits = _split(strata_of(y, groups.codes), len(learn), streams)
        problem = table_problem(
            name="adult",
            frame=_derived(frame) if self.causal else frame,
            columns=CAUSAL if self.causal else INPUTS,
            y=y,
            classes=CLASSES,
            groups=groups,
            splits=subsample("adult", splits, self.subsample),
            card=_card(frame, self.subsample),
        )
        if not self.causal:
            return problem
        return replace(problem, scm=learn_on(problem, GRAPH, ("sex",), streams, Fitting(epochs=10)))

    def _read(self, data_dir: Path, name: str) -> pd.DataFrame:
        source = self.source(data_dir, name)
        raw = read_fields(source, FIELDS, separator=",", comment="|")
        return read_columns(source, raw, self.columns)


def _derived(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the two columns of the causal graph that it does not have."""
    return frame.assign(
        native=(frame["native-country"] == "United-States").astype(int),
        married=frame["marital-status"].str.startswith("Married").astype(int),
    )


def _groups(frame: pd.DataFrame, sensitive: str) -> Groups:
    names = GROUPS[sensitive]
    codes = positions(frame[sensitive], names)
    return Groups(sensitive, names, codes, rule=levels_rule(sensitive, names))


def _split(strata: Array, n_learn: int, streams: Streams) -> dict[SplitName, Array]:
    rng = streams.numpy("split")
    splits = draw("adult", strata[:n_learn], HELD_OUT, rng)
    return {**splits, "test": n_learn + stratified_order(strata[n_learn:], rng)}


def _card(frame: pd.DataFrame, rows: int | None) -> DataCard:
    """The card, including what is missing in the files read."""
    missing = {c: int((frame[c] == "unknown").sum()) for c in frame}
    counted = ", ".join(f"{column} {n:,}" for column, n in missing.items() if n)
    text = f"{len(frame):,} {CARD.description}"
    if counted:
        text += f" Missing values are a level of their own, 'unknown': {counted}."
    if rows is not None:
        text += f" Here a subsample of {rows:,} rows."
    return replace(CARD, description=text)
