"""Small real systems that unit tests share: a Problem and R trained replicates."""

from pathlib import Path

import pytest

from trustbench.api.checks.toys import CARD, make_problem, make_system
from trustbench.store import record_files

__all__ = ["CARD", "make_problem", "make_system"]


@pytest.fixture(scope="session")
def problem():
    """A binary problem with a minority group."""
    return make_problem()


@pytest.fixture(scope="session")
def system(problem):
    """Four trained replicates of the binary problem."""
    return make_system(problem)


@pytest.fixture(scope="session")
def multiclass_system():
    """Four trained replicates of a five-class problem."""
    return make_system(make_problem(n=900, classes=5, groups=5, seed=1))


@pytest.fixture(scope="session")
def shared_data():
    """Byte-exact copies of public data sets; tests that need them skip where they are absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the public data files in {folder}; see docs/data.md")
    return folder


@pytest.fixture(scope="module")
def handmade_ids():
    """Records that a test writes by hand keep the ids that it gives them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_files, "wrong_name", lambda _: None)
        yield
