"""A run that is only looked at."""

import pytest

from tests.unit.config.compose.seen import Seen


@pytest.fixture
def seen():
    return Seen()
