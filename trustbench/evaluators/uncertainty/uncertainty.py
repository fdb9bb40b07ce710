"""Calibration of the predicted probabilities, and conformal sets built on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import (
    Access,
    Array,
    Evaluator,
    Fact,
    Measured,
    Measurement,
    Metric,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods import calibration, conformal

PROBES = ("size", "coverage", "singleton_rate", "empty_rate")


@dataclass(frozen=True)
class Uncertainty(Evaluator):
    """How well calibrated probabilities are, and what sets with 1 - `alpha` coverage would cost.

    Primary is `ece` over `bins` bins of equal mass; `nll` and `brier` are proper scores beside
    it, `aurc` the selective risk. The conformal probes calibrate every replicate on its own
    rows, for APS (randomised) and LAC: `*_coverage` (against the Beta-binomial band in the
    facts), `*_size`, `*_singleton_rate`, `*_empty_rate`. Report both scores: over-confidence
    makes LAC sets grow and APS sets shrink. With accuracy above 1 - alpha many sets are empty;
    they are left empty. The arrays `bin_confidence` and `bin_accuracy` [R, bins] are the
    reliability diagram.

    Reference: Guo et al. 2017, arXiv 1706.04599; Romano et al. 2020, arXiv 2006.02544 (APS).
    """

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    bins: Annotated[int, Field(ge=1)] = 15

    version: ClassVar[int] = 3
    aspect: ClassVar[Aspect | None] = Aspect.UNCERTAINTY
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits"})
    over_rows: ClassVar[bool] = True
    reference: ClassVar[str] = "Guo et al. 2017, arXiv 1706.04599"
    metrics = (
        fraction(
            "ece",
            "How far the model's stated confidence is from the accuracy that it reaches.",
            better="lower",
        ),
        Metric(
            "nll",
            "How little probability the model gives to the true labels.",
            "nats",
            better="lower",
            lower=0.0,
        ),
        Metric(
            "brier",
            "How far the predicted probabilities are from what came true, squared.",
            "squared error",
            better="lower",
            lower=0.0,
            upper=2.0,
        ),
        fraction(
            "aurc",
            "How often the model errs on the rows that it is most confident about.",
            better="lower",
        ),
        Metric(
            "<aps|lac>_size",
            "How many labels a set needs to hold the true one as often as it promises.",
            "labels",
            better="lower",
            lower=0.0,
            upper="number of labels",
        ),
        fraction(
            "<aps|lac>_coverage",
            "The share of test rows whose prediction set holds the true label.",
            better="higher",
            rate=True,
        ),
        fraction(
            "<aps|lac>_singleton_rate",
            "The share of test rows whose prediction set is a single label.",
            better="higher",
            rate=True,
        ),
        fraction(
            "<aps|lac>_empty_rate",
            "The share of test rows whose prediction set is empty.",
            better="lower",
            rate=True,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        _, y, _ = system.problem.rows("test")
        n, classes = len(y), len(system.problem.classes)
        log_p = system.split_logits("test").double().log_softmax(-1).cpu().numpy()
        p = np.exp(log_p)
        confidence, hit = calibration.top_label(p, y)
        order = calibration.by_size(confidence)
        found = [
            self.measurement("ece", calibration.ece(confidence, hit, self.bins, order=order), n),
            self.measurement("nll", calibration.nll(log_p, y), n),
            self.measurement("brier", calibration.brier(p, y), n),
            self.measurement("aurc", calibration.aurc(confidence, hit, order), n),
        ]
        facts: dict[str, Fact] = {"alpha": self.alpha, "bins": self.bins, "binning": "equal mass"}
        band = conformal.coverage_band(system.calibration.shape[1], n, self.alpha)
        facts |= {
            "coverage_band_low": band.low,
            "coverage_band_high": band.high,
            "n_calibration": system.calibration.shape[1],
        }
        reason = conformal.too_few_rows(self.alpha, system.calibration.shape[1])
        names = [f"{score}_{probe}" for score in conformal.SCORES for probe in PROBES]
        missing = {} if reason is None else dict.fromkeys(names, reason)
        probabilities = system.split_logits("test").double().softmax(-1)
        for score in conformal.SCORES if reason is None else ():
            sets = self._sets(system, score, probabilities)
            size, cover = conformal.set_sizes(sets), conformal.covered(sets, y)
            found += self._probes(score, size, cover, classes)
            inside = (band.low <= cover.mean(axis=1)) & (cover.mean(axis=1) <= band.high)
            facts[f"{score}_replicates_in_band"] = int(inside.sum())
        binned = calibration.reliability(confidence, hit, self.bins, order)
        arrays = dict(zip(("bin_confidence", "bin_accuracy"), binned, strict=True))
        return Measured(tuple(found), arrays=arrays, facts=facts, missing=missing)

    def _sets(self, system: System, score: conformal.Score, probabilities: Tensor) -> Tensor:
        predictor = conformal.calibrate(system, score, self.alpha)
        u = conformal.uniforms(system, probabilities.shape[1], conformal.PREDICTING)
        return predictor.sets_of(probabilities, u)

    def _probes(self, score: str, size: Array, cover: Array, classes: int) -> Iterator[Measurement]:
        n = size.shape[1]
        top = float(classes)
        yield self.measurement(f"{score}_size", size.mean(axis=1), n, upper=top)
        yield self.measurement(f"{score}_coverage", cover.mean(axis=1), n)
        yield self.measurement(f"{score}_singleton_rate", (size == 1).mean(axis=1), n)
        yield self.measurement(f"{score}_empty_rate", (size == 0).mean(axis=1), n)
