"""Every exception that trustbench raises deliberately.

TrustbenchError
├── UserError                exit 2: the input is wrong; one sentence, no traceback
│   ├── ConfigError          unknown key, wrong type or range; may carry several sentences
│   └── DataError            missing file, wrong column, unknown or empty group
├── StorageError             a result cannot be written: full disk, no permission
├── Unsupported              a combination that cannot be measured; a reason, not a crash
└── TrainingDiverged         some replicates ended in numbers that are not finite
"""

import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class TrustbenchError(Exception):
    """Base of all exceptions that trustbench raises deliberately."""


class UserError(TrustbenchError):
    """The input is wrong. The message says what was given, what is available, what to do."""


class ConfigError(UserError):
    """One or more problems of a configuration, all reported at once."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class DataError(UserError):
    """A data set cannot be read as its loader describes it."""


class StorageError(TrustbenchError, OSError):
    """A file cannot be written. The message says which one and what to do; also an OSError."""


class Unsupported(TrustbenchError):
    """This combination cannot be measured; the message is the reason."""


class TrainingDiverged(TrustbenchError):
    """The replicates `failed` of `total` have non-finite numbers; `what` says which numbers."""

    def __init__(self, failed: Sequence[int], total: int, what: str, advice: str) -> None:
        self.failed, self.total = tuple(failed), total
        which = "all" if len(self.failed) == total else ", ".join(map(str, self.failed))
        super().__init__(
            f"{len(self.failed)} of {total} replicates diverged ({what}; replicates: {which}); "
            f"{advice}."
        )


FAILURES = (
    RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError,
    ArithmeticError,
)  # fmt: skip
"""What a user's code raises on inputs or settings that it was not written for."""


def first_sentence(error: BaseException) -> str:
    """The first sentence of an exception's text, without a full stop; its type if it has none."""
    text = str(error).strip().split("\n")[0].split(". ")[0].rstrip(".")
    return text or type(error).__name__


def did_you_mean(given: str, available: Iterable[str]) -> str:
    """The end of an error sentence: the nearest name if one is near, then all available names.

    >>> did_you_mean("epsilom", ["epsilon", "delta"])
    "did you mean 'epsilon'? Available: delta, epsilon."
    """
    names = sorted(available)
    near = get_close_matches(given, names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}Available: {', '.join(names) or 'none'}."


def printable(line: str) -> str:
    r"""The line with control characters marked; names in it may come from data.

    >>> print(printable("a\x1b[31m b\nc"))
    a�[31m b�c
    """
    return "".join(c if c.isprintable() else "�" for c in line)


def warn(text: str) -> None:
    """Prints a warning of one line on standard error; stops nothing."""
    print(f"trustbench: warning: {printable(text)}", file=sys.stderr)  # noqa: T201
