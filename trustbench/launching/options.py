"""The settings of the pool in `hydra.launcher`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from trustbench.errors import ConfigError


@dataclass(frozen=True)
class Options:
    """How many arms run at once, and when one is stopped.

    `slots` is the number of concurrent arms on the CPU (null: the cores available to this process,
    divided by the threads of an arm). `gpus` are ids as in CUDA_VISIBLE_DEVICES (null: all visible
    devices; []: none), each for `per_gpu` concurrent arms. `timeout_s` and `memory_gb` are limits
    per arm; memory is the resident memory of its processes. `on_error` says whether arms are still
    started after one has failed. `retries` is how often an arm whose process died is started again.
    """

    slots: Annotated[int, Field(ge=1)] | None = None
    gpus: tuple[str, ...] | None = None
    per_gpu: Annotated[int, Field(ge=1)] = 1
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    on_error: Literal["continue", "stop"] = "continue"
    retries: Annotated[int, Field(ge=0)] = 1

    def __post_init__(self) -> None:
        if self.memory_gb is not None and not Path("/proc/self/stat").exists():
            raise ConfigError(
                f"hydra.launcher.memory_gb is {self.memory_gb:g}, but this system has no /proc to "
                "read memory from; drop it."
            )
