"""Arms that were trained apart and measure the same: one of them may hold the other's files."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from trustbench.store.records import Record


def equal_notes(arms: Iterable[tuple[str, Record]]) -> Iterator[str]:
    """A warning for each set of arms, given with their labels, that are equal in all metrics.

    Arms that share a fit differ in what is deployed only, which the metrics at hand need not read;
    they are compared with arms of other fits and not with each other.
    """
    found: dict[frozenset[tuple[str, str, tuple[float, ...]]], dict[str, str]] = defaultdict(dict)
    for label, record in arms:
        values = frozenset(
            (key, name, tuple(m.values))
            for key, evaluation in record.evaluations.items()
            for name, m in evaluation.measurements.items()
        )
        if values:
            found[values].setdefault(record.fit, label)
    for values, same in found.items():
        if len(same) > 1:
            yield (
                f"{' and '.join(same.values())} were trained apart and are equal in every "
                f"replicate of all {len(values)} metrics: either the methods make no difference "
                "here, or one arm has the files of the other."
            )
