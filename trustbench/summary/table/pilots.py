"""Learning rates chosen by pilots: the table's notes on them; no contrast mixes two."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from trustbench.errors import UserError
from trustbench.store.records import Pilot, Record


def refuse_two_rates(records: Iterable[Record]) -> None:
    """Raises UserError if two pilots chose the rates of records of one seed and regime."""
    for (regime, seed), found in _by_rate(records).items():
        if len(found) > 1:
            ids = sorted(i for same in found.values() for i in same)
            rates = " and ".join(f"{rate:zg}" for rate in sorted(found))
            raise UserError(
                f"records {', '.join(ids)} ({regime}, seed {seed}) were trained at learning rates "
                f"{rates}, as two runs of the pilot chose, so they cannot be paired; summarise one "
                "sweep (--experiment NAME), or delete the records of one rate."
            )


def notes(records: Iterable[Record]) -> Iterator[str]:
    """One line for each regime whose learning rates were chosen by pilots."""
    records = list(records)
    seeds = len({r.arm.seed for r in records})
    chosen: dict[str, dict[float, list[int]]] = defaultdict(dict)
    for (regime, seed), found in sorted(_by_rate(records).items()):
        for rate in found:
            chosen[regime].setdefault(rate, []).append(seed)
    for regime, rates in chosen.items():
        pilot = next(p for r in records if (p := r.pilot) and r.arm.training["regime"] == regime)
        said = [f"{r:zg}" + (_seeds(of) if seeds > 1 else "") for r, of in sorted(rates.items())]
        yield (
            f"learning rate ({regime}): {', '.join(said)}, chosen from {_grid(pilot)} by a pilot "
            "of the baseline on validation rows; all arms share it, but for methods that bring "
            "their own."
        )


def _seeds(seeds: list[int]) -> str:
    return f" (seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))})"


def _grid(pilot: Pilot) -> str:
    return ", ".join(f"{t.rate:zg}" for t in pilot.tried)


def _by_rate(records: Iterable[Record]) -> dict[tuple[str, int], dict[float, list[str]]]:
    """(regime, seed) -> rate -> the records whose rate was chosen by a pilot."""
    found: dict[tuple[str, int], dict[float, list[str]]] = defaultdict(dict)
    for record in records:
        if record.pilot is not None:
            key = str(record.arm.training["regime"]), record.arm.seed
            found[key].setdefault(record.pilot.rate, []).append(record.id)
    return found
