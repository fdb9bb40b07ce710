"""Named random streams; this module alone touches global random state.

A stream is derived from (run seed, purpose, indices), so adding an arm, an evaluator or a launcher
never shifts another stream. Replicate r of two arms draws the same numbers for the same purpose
(common random numbers), which makes the contrasts paired.
"""

import hashlib
import random
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

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
    "hidden",
    "dropout",
    "explanations",
    "conformal",
    "bootstrap",
    "controls",
    "data",
    "pilot",
)


# How a sub-stream is named. No name looks like a number, so it never meets a numbered stream.
SUB_STREAM = re.compile("[a-z][a-z0-9_]*")

# What a deployed system draws for each model, with the model as the first index.
OF_MODELS = ("conformal", "attacks", "dp_noise")
# What a redraw of an arm draws anew: all that training draws, but not the data.
SALTED = ("initialisation", "batches", "dp_noise", "attacks", "hidden", "dropout")


NoiseSource = Literal["seeded", "system"]
"""The source of privacy noise: a named stream, or the operating system's entropy."""


@dataclass(frozen=True)
class Streams:
    """The random streams of one run.

    `salt` separates the `reseed` control from its baseline, and an arm from its twins. The draws of
    training depend on it (initialisation, batch order, DP noise, random starts of adversarial
    training, dropout masks), so such arms share only the data halves. Evaluators draw with salt 0
    in every arm. `first` is the index of the first model among the draws that training makes for
    each model: shadow models come after the replicates. `model` is the replicate that a system of
    one exported model takes the draws of.
    """

    seed: int
    salt: int = 0
    first: int = 0
    model: int = 0

    def entropy(self, purpose: str, *indices: "int | str") -> int:
        """Returns a 63-bit seed for `purpose` at `indices`.

        An index is a number (a replicate, an epoch, a repetition) or the name of a sub-stream,
        which says what draws: `streams.entropy("attacks", 3, "square")`.

        Raises:
            ValueError: the purpose is unknown, or a name is not in lower case with underscores.
        """
        if purpose not in PURPOSES:
            raise ValueError(f"unknown purpose {purpose!r}; one of {', '.join(PURPOSES)}")
        trained = purpose in SALTED
        salt = self.salt if trained else 0
        for index in indices:
            if isinstance(index, str) and not SUB_STREAM.fullmatch(index):
                raise ValueError(f"{index!r} cannot name a sub-stream; write it like 'pgd_margin'")
        if trained and indices and not isinstance(indices[0], str):
            indices = (indices[0] + self.first, *indices[1:])
        if purpose in OF_MODELS and indices and not isinstance(indices[0], str):
            indices = (indices[0] + self.model, *indices[1:])
        text = "/".join(map(str, (self.seed, salt, purpose, *indices)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def numpy(self, purpose: str, *indices: "int | str") -> np.random.Generator:
        """Returns a numpy generator for `purpose` at `indices`."""
        return np.random.default_rng(self.entropy(purpose, *indices))

    def torch(self, purpose: str, *indices: "int | str") -> "torch.Generator":
        """Returns a torch generator for `purpose` at `indices`.

        It draws on the CPU, whichever device computes: generators of other devices draw other
        numbers. `trustbench/methods/random_numbers.py` copies what it draws.
        """
        import torch

        return torch.Generator().manual_seed(self.entropy(purpose, *indices))

    @contextmanager
    def global_torch(self, purpose: str, *indices: "int | str") -> Iterator[None]:
        """Seeds torch's global CPU generator inside the block and restores it afterwards.

        torch's layers draw their initial weights from the global generator and accept no other.
        """
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.entropy(purpose, *indices))
            yield

    @contextmanager
    def global_state(self, purpose: str, *indices: "int | str") -> Iterator[None]:
        """Seeds the global generators of Python, numpy and torch inside the block.

        They are restored afterwards. User code draws from them.
        """
        seed, before = self.entropy(purpose, *indices), np.random.get_state()  # noqa: NPY002
        pythons = random.getstate()
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            with self.global_torch(purpose, *indices):
                yield
        finally:
            random.setstate(pythons)
            np.random.set_state(before)  # noqa: NPY002


def sub_stream(generator: "torch.Generator", name: str) -> "torch.Generator":
    """Returns a fresh generator that shares only the seed of `generator`, named after its use.

    For hooks, which are handed generators in place of streams.
    """
    import torch

    text = f"{generator.initial_seed()}/{name}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(seed)


def system_uniforms(count: int) -> "np.ndarray[Any, Any]":
    """Returns `count` numbers in (0, 1) with 52 bits of the operating system's entropy each."""
    return uniforms(secrets.token_bytes(8 * count))


def system_normals(count: int) -> "np.ndarray[Any, Any]":
    """Returns `count` standard normal numbers from the operating system's entropy."""
    return normals(system_uniforms(2 * count))


def uniforms(noise: bytes) -> "np.ndarray[Any, Any]":
    r"""Numbers in (0, 1), one from every eight random bytes.

    >>> uniforms(bytes(8)) > 0, uniforms(b"\xff" * 8) < 1
    (array([ True]), array([ True]))
    """
    return ((np.frombuffer(noise, dtype=np.uint64) >> np.uint64(12)) + 0.5) * 2.0**-52


def normals(u: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Standard normal numbers, one from every two of `u` in (0, 1) (Box and Muller 1958)."""
    first, second = np.split(u, 2)
    return np.asarray(np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second))


def weaker(given: object, own: NoiseSource) -> NoiseSource:
    """Returns an arm's fact `dp_noise`, given the fact so far and that of one more method, `own`.

    Anybody who knows the seed can subtract seeded noise, so one seeded method makes the arm
    `seeded`.

    >>> weaker(None, "system"), weaker("seeded", "system"), weaker("system", "seeded")
    ('system', 'seeded', 'seeded')
    """
    return "seeded" if "seeded" in (given, own) else "system"
