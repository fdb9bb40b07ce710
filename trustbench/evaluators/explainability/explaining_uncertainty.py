"""Whether prediction sets are harder to explain than predictions (U -> E)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Access, Array, Evaluator, Measured, Measurement, Metric, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import uninformative
from trustbench.methods.explanations.lime_surrogate import BUDGET, Lime, Stream
from trustbench.methods.explanations.local_fit import held_out_r2
from trustbench.methods.explanations.neighbourhood_base import Draws, Neighbourhood
from trustbench.methods.explanations.released import explained_points

# Test rows on which a released score is computed twice, to detect random numbers.
ASKED = 200
# Target -> its null: the name of the prediction's own R2 at the points of that target.
NULLS = {"set_size": "r2_argmax", "set_membership": "r2_argmax_set_membership"}


@dataclass(frozen=True)
class ExplainingUncertainty(Evaluator):
    """Held-out R2 of the same local surrogate for what a system says besides its prediction.

    At each of `points` test rows x and for the same perturbations z: `r2_set_size` of |C(z)|,
    `r2_set_membership` of 1[runner-up of x in C(z)], `r2_argmax` of 1[argmax at z = prediction
    at x], the null of both: all three are steps, and a step is harder to fit than a smooth
    surface; `r2_probability` of p(z) of the predicted class shows by how much. Each is the
    median over points (held-out R2 of a rare step has a long lower tail), `<name>_mean` the mean.

    `<name>_<score>` is measured for each released score; `r2_set_size` itself is that of the first
    deterministic score, since no surrogate can explain the coin that a randomised set (APS) tosses
    at each z. Perturbations of x keep its group.

    A point around which a target does not vary has no R2: it is dropped for that target and
    counted. With fewer than `min_points` left in a replicate the target is missing. `r2_set_size`
    and its null are read at the same points, where both vary, and so are `r2_set_membership` and
    its own, `r2_argmax_set_membership`; `<name>_<score>` is read wherever it varies.
    `r2_drop_same_points` is the median of R2(argmax) - R2(set size).

    Reference: Ribeiro et al. 2016, arXiv 1602.04938 (surrogate); Angelopoulos and Bates 2021,
    arXiv 2107.07511 (sets).
    """

    points: Annotated[int, Field(ge=2)] = 60
    samples: Annotated[int, Field(ge=20)] = 1000
    patch_samples: Annotated[int, Field(ge=20)] = 400
    sigma: Annotated[float, Field(ge=0)] = 0.0
    min_points: Annotated[int, Field(ge=1)] = 5

    version: ClassVar[int] = 3
    aspect: ClassVar[Aspect | None] = Aspect.EXPLAINABILITY
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "set_predictors"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries"})
    reference: ClassVar[str] = "Ribeiro et al. 2016, arXiv 1602.04938"
    metrics = (
        Metric(
            "r2_set_size",
            "How well a simple local explanation tells how many labels the prediction set holds.",
            "R2",
            better="higher",
            upper=1.0,
            null="r2_argmax",
        ),
        Metric(
            "r2_set_size_mean",
            "How well a simple local explanation tells the size of sets, averaged over rows.",
            "R2",
            better="higher",
            upper=1.0,
            null="r2_argmax_mean",
        ),
        Metric(
            "r2_set_membership",
            "How well a simple local explanation tells whether the second label is in the set.",
            "R2",
            better="higher",
            upper=1.0,
            null="r2_argmax_set_membership",
        ),
        Metric(
            "r2_set_membership_mean",
            "How well a simple local explanation tells whether the second label is in the set, "
            "averaged over rows.",
            "R2",
            better="higher",
            upper=1.0,
            null="r2_argmax_set_membership_mean",
        ),
        Metric(
            "r2_<set_size|set_membership>_<score>",
            "How well a simple local explanation tells what sets of this score say.",
            "R2",
            better="higher",
            upper=1.0,
        ),
        Metric(
            "r2_<set_size|set_membership>_<score>_mean",
            "How well a simple local explanation tells what sets of this score say, averaged.",
            "R2",
            better="higher",
            upper=1.0,
        ),
        Metric(
            "r2_argmax<|_set_membership><|_mean>",
            "How well a simple local explanation tells the prediction itself, at the same rows.",
            "R2",
            better="higher",
            upper=1.0,
            diagnostic=True,
        ),
        Metric(
            "r2_probability<|_mean>",
            "How well a simple local explanation tells the probability of the prediction.",
            "R2",
            better="higher",
            upper=1.0,
            diagnostic=True,
        ),
        Metric(
            "r2_drop_same_points<|_mean>",
            "How much harder the size of sets is to explain than the prediction, row by row.",
            "R2",
            better="lower",
            null=0.0,
            diagnostic=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if not system.set_predictors:
            return "needs released prediction sets (intervention=conformal)"
        return None

    @override
    def measure(self, system: System) -> Measured:
        r2 = self._r2(system)
        fixed = next((s for s in system.set_predictors if deterministic(system, s)), None)
        missing: dict[str, str] = {}
        if fixed is not None:
            r2 = _together(r2, fixed)
            r2["r2_drop_same_points"] = r2["r2_argmax"] - r2["r2_set_size"]
        else:
            reason = "every released score draws random numbers, which no surrogate can explain"
            missing = dict.fromkeys(("r2_set_size", "r2_set_membership"), reason)
        found: list[Measurement] = []
        full = _uninformative(system)
        for name, values in r2.items():
            kept = int((~np.isnan(values)).sum(axis=1).min())
            if kept < self.min_points:
                score = next((s for s in full if name.endswith(f"_{s}")), fixed)
                known = full.get(score or "") if name != "r2_probability" else None
                missing[name] = known or (
                    f"the target, or one it is compared with, varies around only {kept} of "
                    f"{values.shape[1]} points of a replicate; a median needs {self.min_points}"
                )
            else:
                found += self._statistics(name, values)
        dropped = {f"dropped_{k}": int(np.isnan(v).sum()) for k, v in r2.items()}
        facts = {"set_score": fixed, "samples": self.samples, **dropped}
        return Measured(tuple(found), facts=facts, missing=missing)

    def _statistics(self, name: str, values: Array) -> Iterator[Measurement]:
        """The median over points and the mean."""
        for suffix, statistic in (("", np.nanmedian), ("_mean", np.nanmean)):
            yield self.measurement(name + suffix, statistic(values, axis=1), values.shape[1])

    def _r2(self, system: System) -> dict[str, Array]:
        """R2 [R, n] of each target."""
        lime = Lime(self.samples, self.patch_samples, self.sigma)
        area = lime.neighbourhood(system)
        X, rows = explained_points(system, self.points)
        group = system.problem.rows("test")[2][rows]
        parts: dict[str, list[Tensor]] = {}
        for draws, x, g in _draws(system, lime, area, X, group):
            for name, target in _targets(system, draws, x, g).items():
                parts.setdefault(name, []).append(held_out_r2(draws, target))
        return {k: torch.cat(v, dim=1).cpu().numpy() for k, v in parts.items()}


def _uninformative(system: System) -> dict[str, str | None]:
    """Score -> why its sets carry no information on these rows; None if they do."""
    X, _, group = system.problem.rows("test")
    x, g = system.tensor(X[:ASKED]), group[:ASKED]
    return {s: uninformative(system, s, system.sets(x, s, g)) for s in system.set_predictors}


def _together(r2: dict[str, Array], score: str) -> dict[str, Array]:
    """Both targets of a score and the null of each, [R, n], at the points where the two vary."""
    out: dict[str, Array] = {}
    for target, null in NULLS.items():
        of, control = r2[f"r2_{target}_{score}"], r2["r2_argmax"]
        both = ~np.isnan(of) & ~np.isnan(control)
        out |= {f"r2_{target}": np.where(both, of, np.nan), null: np.where(both, control, np.nan)}
    return out | {name: values for name, values in r2.items() if name not in out}


def deterministic(system: System, score: str) -> bool:
    """Whether equal rows get equal sets wherever they occur among others."""
    X, _, group = system.problem.rows("test")
    twice = system.tensor(np.concatenate([X[:ASKED], X[:ASKED]]))
    sets = system.sets(twice, score, np.concatenate([group[:ASKED], group[:ASKED]]))
    first, second = sets.tensor_split(2, dim=1)
    return torch.equal(first, second)


def _draws(
    system: System, lime: Lime, area: Neighbourhood, X: Tensor, group: Array
) -> Iterator[tuple[Draws, Tensor, Array]]:
    """Perturbations of a few rows at a time, those rows [m, *shape] and their groups [m]."""
    samples = lime.perturbations(area)
    rng = system.streams.numpy("explanations", Stream.PROBE)
    noise = area.noise(samples, rng)
    floats = max(system.problem.n_features, system.replicates * len(system.problem.classes))
    m = max(1, BUDGET // (samples * floats))
    for start in range(0, len(X), m):
        rows = X[start : start + m]
        yield area.around(rows.flatten(1)[None], noise), rows, group[start : start + m]


def _targets(system: System, draws: Draws, X: Tensor, group: Array) -> Mapping[str, Tensor]:
    """What the surrogates imitate: float64 [R, m, s] for each name."""
    _, m, s, _ = draws.Z.shape
    Z = draws.Z[0].reshape(m * s, *system.problem.shape)
    clean = system.logits(X)
    predicted, runner_up = clean.topk(2, dim=-1).indices.unbind(-1)
    logits = system.logits(Z).view(system.replicates, m, s, -1)

    def of(classes: Tensor, values: Tensor) -> Tensor:
        """Values [R, m, s, C] of each row's class [R, m]."""
        index = classes[..., None, None].expand(*values.shape[:3], 1)
        return values.gather(-1, index)[..., 0].double()

    found = {
        "r2_argmax": (logits.argmax(-1) == predicted[..., None]).double(),
        "r2_probability": of(predicted, logits.double().softmax(-1)),
    }
    for score in system.set_predictors:
        sets = system.sets(Z, score, np.repeat(group, s)).view(logits.shape)
        found[f"r2_set_size_{score}"] = sets.sum(-1).double()
        found[f"r2_set_membership_{score}"] = of(runner_up, sets)
    return found
