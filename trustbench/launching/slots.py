"""Room for arms: how many run at once on the CPU and on each GPU."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from trustbench.config.arms import Arm
from trustbench.launching.options import Options

NO_GPU = ""


@dataclass(frozen=True)
class Slot:
    """Room for one arm: a GPU as CUDA_VISIBLE_DEVICES names it, or none."""

    gpu: str = NO_GPU

    def environment(self, arm: Arm) -> Mapping[str, str]:
        """The environment of an arm's process in this slot: its devices and its threads."""
        threads = str(arm.threads)
        return {
            # cuBLAS is deterministic with a fixed work space, which it reads when CUDA starts
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
            **os.environ,
            "CUDA_VISIBLE_DEVICES": self.gpu,
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
        }


class Slots:
    """The slots of a sweep, taken and given back."""

    def __init__(self, options: Options, arms: Sequence[Arm]) -> None:
        gpus = options.gpus
        if gpus is None:
            wanted = any(arm.device != "cpu" for arm in arms)
            gpus = visible_gpus() if wanted else ()
        self.gpus = [Slot(gpu) for _ in range(options.per_gpu) for gpu in gpus]
        threads = max(arm.threads for arm in arms)
        count = options.slots or max(1, available_cores() // threads)
        self.cpus = [Slot() for _ in range(count)]
        self.has_gpus = bool(gpus)

    def take(self, arm: Arm) -> Slot | None:
        """A free slot for an arm, or None; an arm that may use a GPU waits for one."""
        free = self._free(self.has_gpus and arm.device != "cpu")
        return free.pop(0) if free else None

    def give_back(self, slot: Slot) -> None:
        """Frees a slot."""
        self._free(slot.gpu != NO_GPU).append(slot)

    def __len__(self) -> int:
        """How many slots are free."""
        return len(self.cpus) + len(self.gpus)

    def _free(self, gpu: bool) -> list[Slot]:
        return self.gpus if gpu else self.cpus


def available_cores() -> int:
    """The cores available to this process; if the system does not say, all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> tuple[str, ...]:
    """The devices that torch sees, as named in CUDA_VISIBLE_DEVICES; does not start CUDA."""
    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = given.split(",") if given is not None else map(str, range(count))
    return tuple(names)[:count]
