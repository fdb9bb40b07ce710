"""Conformal prediction sets of every replicate: scores, thresholds, coverage."""

from trustbench.methods.conformal.coverage import (
    CoverageBand,
    Variation,
    coverage_band,
    coverage_variation,
    covered,
    set_sizes,
)
from trustbench.methods.conformal.informative import rows_needed, too_few_rows, uninformative
from trustbench.methods.conformal.quantiles import by_category, rank, thresholds
from trustbench.methods.conformal.release import (
    ReleasedScores,
    SetRelease,
    level_stated,
    listed,
    released,
    with_reason,
)
from trustbench.methods.conformal.scores import SCORES, Score, ScoreFunction, aps, lac, raps, saps
from trustbench.methods.conformal.split import (
    CALIBRATING,
    PREDICTING,
    REDRAWING,
    CalibrationScores,
    SplitConformal,
    calibrate,
    calibration_scores,
    predictor,
    set_predictor,
    uniforms,
)

__all__ = [
    "CALIBRATING",
    "PREDICTING",
    "REDRAWING",
    "SCORES",
    "CalibrationScores",
    "CoverageBand",
    "ReleasedScores",
    "Score",
    "ScoreFunction",
    "SetRelease",
    "SplitConformal",
    "Variation",
    "aps",
    "by_category",
    "calibrate",
    "calibration_scores",
    "coverage_band",
    "coverage_variation",
    "covered",
    "lac",
    "level_stated",
    "listed",
    "predictor",
    "rank",
    "raps",
    "released",
    "rows_needed",
    "saps",
    "set_predictor",
    "set_sizes",
    "thresholds",
    "too_few_rows",
    "uniforms",
    "uninformative",
    "with_reason",
]
