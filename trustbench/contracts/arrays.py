"""What every stage calls an array, and the names of the splits of its rows."""

from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
SplitName = Literal["train", "validation", "calibration", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "calibration", "test")
