"""The search that faults happen to, run once without any."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faulty.kinds import World


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """What all faults share."""
    made = World()
    yield made
    made.close()
