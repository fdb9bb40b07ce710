"""Arms whose files are damaged, and what their journal says was computed."""

from dataclasses import dataclass
from typing import ClassVar

from tests.unit.arm_toys import SHARE_RIGHT, hits, ignore
from trustbench.config.arms import Chosen
from trustbench.contracts import Evaluator, Intervention, Measured
from trustbench.contracts.aspects import Aspect
from trustbench.execution.arm import run_arm
from trustbench.store.digests import values_digest
from trustbench.store.records import Store


@dataclass(frozen=True)
class Right(Evaluator):
    """Accuracy, with the hits of every row as an array when `kept`."""

    kept: bool = True
    aspect: ClassVar[None] = None
    metrics: ClassVar = (SHARE_RIGHT,)

    def measure(self, system):
        right, accuracy = hits(system)
        return Measured((accuracy,), arrays={"right": right} if self.kept else {})


@dataclass(frozen=True)
class Nothing(Intervention):
    """Changes no channel."""

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS


RIGHT, PLAIN = Chosen("right", Right()), Chosen("plain", Right(kept=False))


def run(arm):
    """(record, reused, notes) of an arm."""
    notes = []
    record, reused = run_arm(arm, Store(arm.output_dir, notes.append), ignore)
    return record, reused, notes


def digest(arm, record):
    return values_digest(record, Store(arm.output_dir).arrays(record.id))


def folder(arm, record):
    return Store(arm.output_dir).arm_dir(record.id)


def computed(path):
    """What the journal says: [(what, key), ...]."""
    lines = (path / "journal").read_text().splitlines()
    return [tuple(line.split(" ")[3:5]) for line in lines]


def truncate(path, part=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
