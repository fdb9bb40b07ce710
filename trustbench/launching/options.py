"""What `hydra.launcher` of the pool may say."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from trustbench.errors import ConfigError


@dataclass(frozen=True)
class Options:
    """How many arms run at once, and when one is stopped.

    `slots`: arms at once on the CPU (null: the cores that this process may use, by the threads of
    an arm). `gpus`: ids as CUDA_VISIBLE_DEVICES takes them (null: every device that is visible;
    []: none), each for `per_gpu` arms at once. `timeout_s` and `memory_gb` are an arm's limits;
    memory is what its processes have resident. `on_error`: whether arms are still started after
    one has failed. `retries`: how often an arm is started again whose process died.
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
