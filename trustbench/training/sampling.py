"""Chooses the members of each batch: shuffled epochs, or true Poisson sampling."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trustbench.contracts import Array, Schedule
from trustbench.contracts.seeding import Streams


class EpochBatches(NamedTuple):
    """The padded batches of one epoch for all replicates."""

    rows: Array  # int64 [steps, R, B], positions in the pool; padding repeats row 0
    real: Array  # float32 [steps, R, B]; 0 marks padding


def sample_rate(schedule: Schedule, members: int) -> float:
    """The Poisson rate q: every member is in a batch independently with this probability."""
    return min(1.0, schedule.batch_size / members)


def steps_per_epoch(schedule: Schedule, members: int) -> int:
    """Poisson batches per epoch: enough to expect each member once."""
    return max(1, round(1 / sample_rate(schedule, members)))


# The members of a replicate [m] and its stream -> the rows that an epoch visits.
Visit = Callable[[Array, np.random.Generator], Array]


def epoch_batches(
    schedule: Schedule,
    membership: Array,
    streams: Streams,
    epoch: int,
    visit: Visit | None = None,
) -> EpochBatches:
    """The batches of an epoch, drawn from one stream per replicate and epoch.

    `visit` changes which rows a shuffled epoch goes through (oversampling, say).
    """
    # Halves differ by a few rows. The accountant uses the smallest, which has the highest sample
    # rate; a shuffled epoch goes on to the last row of the largest.
    smallest, size = int(membership.sum(1).min()), schedule.batch_size
    poisson, rate = schedule.sampling == "poisson", sample_rate(schedule, smallest)
    picked: list[list[Array]] = []
    for r, inside in enumerate(membership):
        rng = streams.numpy("batches", r, epoch)
        members = np.flatnonzero(inside)
        if poisson:
            sizes = rng.binomial(len(members), rate, size=steps_per_epoch(schedule, smallest))
            picked.append([rng.choice(members, size=k, replace=False) for k in sizes])
        else:
            order = rng.permutation(members if visit is None else visit(members, rng))
            picked.append([order[s : s + size] for s in range(0, len(order), size)])
    steps = max(len(each) for each in picked)
    for each in picked:  # a replicate that finishes early waits for the others
        each.extend([np.empty(0, dtype=np.int64)] * (steps - len(each)))
    width = max(1, *(len(rows) for each in picked for rows in each))
    rows = np.zeros((steps, len(membership), width), dtype=np.int64)
    real = np.zeros((steps, len(membership), width), dtype=np.float32)
    for r, each in enumerate(picked):
        for s, batch in enumerate(each):
            rows[s, r, : len(batch)] = batch
            real[s, r, : len(batch)] = 1.0
    return EpochBatches(rows, real)
