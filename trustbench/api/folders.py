"""Where runs write, unless they are told otherwise."""

import os
from pathlib import Path


def default_output_dir() -> Path:
    """$TRUSTBENCH_OUTPUTS, else `outputs`: the default of the key output_dir."""
    return Path(os.environ.get("TRUSTBENCH_OUTPUTS", "outputs"))
