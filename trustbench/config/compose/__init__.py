"""From Hydra to an Arm; the only importer of Hydra, beside the plugins that Hydra itself finds."""

from trustbench.config.compose.arguments import conf_dir, conf_dirs, quoted
from trustbench.config.compose.running import compose, composed_arm, hydra_run, run_request
from trustbench.config.compose.task import RunRequest, RunStart

__all__ = [
    "RunRequest",
    "RunStart",
    "compose",
    "composed_arm",
    "conf_dir",
    "conf_dirs",
    "hydra_run",
    "quoted",
    "run_request",
]
