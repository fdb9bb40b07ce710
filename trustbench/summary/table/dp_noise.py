"""What the source of privacy noise means for a reader."""

from collections.abc import Iterable, Iterator

from trustbench.store.records import Scalar

FACT = "dp_noise"
SEEDED = (
    "drawn from a seeded stream (dp_noise: seeded): whoever knows the seed can take it away "
    "again, so the privacy guarantee is for research only and nothing may be released as private"
)
SYSTEM = (
    "drawn from the operating system's entropy (dp_noise: system): it cannot be drawn again, so "
    "no other run repeats these numbers bit by bit"
)
MEANING = {"seeded": SEEDED, "system": SYSTEM}


def noise_notes(arms: Iterable[tuple[str, Scalar]]) -> Iterator[str]:
    """A sentence for each source of noise; `arms` are (label, the fact `dp_noise` or None).

    >>> [note[:34] for note in noise_notes([("dpsgd", "system"), ("none", None)])]
    ['The privacy noise of dpsgd was dra']
    """
    said = list(arms)
    for source, meaning in MEANING.items():
        of = dict.fromkeys(label for label, fact in said if fact == source)
        if of:
            yield f"The privacy noise of {', '.join(of)} was {meaning}."
