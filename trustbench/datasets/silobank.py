"""SiloBank: a synthetic bank that decides on credit cards, with a known causal model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Action, DataCard, Dataset, Problem
from trustbench.contracts.seeding import Streams
from trustbench.datasets._credit_model import (
    MECHANISMS,
    NUMBERS,
    CreditModel,
    draw_age,
    predict,
    repayment_probability,
)
from trustbench.datasets.loading.columns import Categorical, Numeric
from trustbench.datasets.loading.splits import draw, shares, strata_of
from trustbench.datasets.loading.tabular import (
    POOL_STATISTICS,
    Groups,
    levels_rule,
    standardise,
    table_problem,
)

NAMES = ("majority", "minority")
# Nobody can change their age, their group, or when their first account was opened.
FIXED = frozenset({"age", "credit_history_years"})
# What the bank may advise: nobody can unlearn, or have worked for less time.
ACTIONS: Mapping[str, Action] = {"education": "up", "employment_years": "up"}

CARD = DataCard(
    description="SYNTHETIC applicants for a credit card at an imaginary bank; class 1, the "
    "favourable one, is repayment over two years. Drawn from a structural causal model whose "
    "equations are public; the group acts on repayment only through income, employment, credit "
    "history and neighbourhood.",
    known_harms="No real person is in these data. The group is an idealised minority: no finding "
    "on it carries over to real people without real data.",
    licence="Apache-2.0, as this package",
    reference="The vignette of Cresswell 2025; equations: trustbench/datasets/_credit_model.py",
    synthetic=True,
    rows_public=True,
)


@dataclass(frozen=True)
class SiloBank(Dataset):
    """Repayment (class 1) from eight numbers and the group; `minority` is the minority's share.

    25 % of the rows are the test set, 15 % the calibration pool, 10 % the validation set, the
    rest the training pool, stratified by class and group. `Problem.scm` gives each applicant's
    exact counterfactual in the other group.

    Reference: Pearl 2009, Causality, section 7.1; parameters: `_credit_model`.
    """

    rows: Annotated[int, Field(ge=1000, le=1_000_000)] = 12000
    minority: Annotated[float, Field(ge=0.02, le=0.5)] = 0.15

    version: ClassVar[int] = 1
    reads_rows: ClassVar = (POOL_STATISTICS,)
    reference: ClassVar[str] = CARD.reference

    @override
    def load(self, data_dir: Path, streams: Streams) -> Problem:
        rng = streams.numpy("data")
        group = (rng.random(self.rows) < self.minority).astype(np.int64)
        noise = {name: rng.standard_normal(self.rows) for name in ("age", *MECHANISMS)}
        numbers = predict(draw_age(noise["age"]), group, noise)
        y = (rng.random(self.rows) < repayment_probability(numbers)).astype(np.int64)
        frame = pd.DataFrame({**numbers, "group": np.array(NAMES)[group]})
        sizes = shares(self.rows, {"test": 0.25, "calibration": 0.15, "validation": 0.10})
        splits = draw("silobank", strata_of(y, group), sizes, streams.numpy("split"))
        problem = table_problem(
            name="silobank",
            frame=frame,
            columns=(
                *(
                    Numeric(name, mutable=name not in FIXED, action=ACTIONS.get(name))
                    for name in NUMBERS
                ),
                Categorical("group", mutable=False),
            ),
            y=y,
            classes=("not repaid", "repaid"),
            groups=Groups("group", NAMES, group, rule=levels_rule("group", NAMES)),
            splits=splits,
            card=CARD,
        )
        scale = [standardise(frame[n].to_numpy(), splits["train"])[1:] for n in NUMBERS]
        mean, deviation = zip(*scale, strict=True)
        return replace(problem, scm=CreditModel(mean, deviation, self.minority))
