"""The default folders of runs."""

import os
from pathlib import Path


def default_output_dir() -> Path:
    """The default of the key output_dir: $TRUSTBENCH_OUTPUTS, else `outputs`."""
    return Path(os.environ.get("TRUSTBENCH_OUTPUTS", "outputs"))
