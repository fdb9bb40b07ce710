"""A run that is only looked at."""

import pytest

from tests.unit.compose.seen import Seen


@pytest.fixture
def seen():
    return Seen()
