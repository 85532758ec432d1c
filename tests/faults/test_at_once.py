"""Many runners at once, at several databases."""

from __future__ import annotations

import contextlib
import random

import pytest
from faulty import search
from faulty.kinds import World
from faulty.place import Place

pytestmark = pytest.mark.slow


def test_eight_runners_at_each_of_two_databases(world: World) -> None:
    """Every trial is begun once and by one; nobody is shown a lock."""
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(Place(world.undisturbed, random.Random(n))) for n in range(2)]
        runs = [(place, place.start()) for _ in range(8) for place in places]
        for place, run in runs:
            place.expect(run, 0)
        for place in places:
            found = search.read(place.url)
            assert place.wrong == []
            assert found.rows == world.undisturbed.rows
            assert (found.repeated, found.running) == (0, 0)
            assert set(search.begun_in(place.log).values()) == {1}
