"""Named random streams; the only owner of global random state.

A stream is derived from (run seed, purpose, indices), so adding an arm, an evaluator or a
launcher never shifts another stream. Replicate r of two arms draws the same numbers for the
same purpose: common random numbers, which is what makes the contrasts paired.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

PURPOSES = (
    "split",
    "inclusion",
    "calibration",
    "initialisation",
    "batches",
    "dp_noise",
    "attacks",
    "explanations",
    "conformal",
    "bootstrap",
    "controls",
    "data",
)


# What another draw of the same arm draws anew: all that training draws, and not the data.
SALTED = ("initialisation", "batches", "dp_noise", "attacks")


@dataclass(frozen=True)
class Streams:
    """Random streams of one run.

    `salt` separates the `reseed` control from its baseline, and an arm from its twins: what
    training draws reads it (initialisation, batch order, DP noise, the random starts of
    adversarial training), so that they share the data halves alone. What evaluators draw has
    salt 0 for every arm.
    """

    seed: int
    salt: int = 0

    def entropy(self, purpose: str, *indices: int) -> int:
        """A 63-bit seed for `purpose` at `indices` (replicate, epoch, ...)."""
        if purpose not in PURPOSES:
            raise ValueError(f"unknown purpose {purpose!r}; one of {', '.join(PURPOSES)}")
        salt = self.salt if purpose in SALTED else 0
        text = "/".join(map(str, (self.seed, salt, purpose, *indices)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def numpy(self, purpose: str, *indices: int) -> np.random.Generator:
        """A numpy generator for `purpose` at `indices`."""
        return np.random.default_rng(self.entropy(purpose, *indices))

    def torch(
        self, purpose: str, *indices: int, device: "torch.device | str" = "cpu"
    ) -> "torch.Generator":
        """A torch generator on `device` for `purpose` at `indices`."""
        import torch

        return torch.Generator(device=device).manual_seed(self.entropy(purpose, *indices))

    @contextmanager
    def global_torch(self, purpose: str, *indices: int) -> Iterator[None]:
        """Seeds torch's global CPU generator inside the block and restores it afterwards.

        torch's layers draw their initial weights from the global generator and take no other.
        """
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.entropy(purpose, *indices))
            yield
