"""After any fault the next start completes the search: nothing lost, nothing twice, every value to the bit.

A few faults of each kind; ``python tests/benchmarks/faults.py`` makes hundreds.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import pytest
from faulty import search
from faulty.faults import KINDS, World, lacking
from faulty.place import Place, Result

pytestmark = pytest.mark.slow

TIMES = {"kill-sql": 2, "dask-torn": 0}
"""Faults of a kind; of others, one. Of two that are close and slow, the benchmark alone has one."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A search of forty trials, undisturbed, and the servers that faults share."""
    made = World(trials=40)
    yield made
    made.close()


@pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for kind in KINDS for seed in range(TIMES.get(kind, 1))])
def test_the_next_start_completes_the_search(world: World, kind: str, seed: int) -> None:
    if (reason := lacking(kind)) is not None:
        pytest.skip(reason)
    result = world.suffer(kind, seed)
    assert result.clean, result
    assert result == Result(again=result.again)


def test_runners_begin_at_once_at_two_databases_that_are_not_there_and_share_them(world: World) -> None:
    """Every trial is begun once and by one; nobody is shown a lock."""
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(Place(world.undisturbed, random.Random(n))) for n in range(2)]
        for place in places:
            place.file.unlink()
        runs = [(place, place.start()) for _ in range(4) for place in places]
        for place, run in runs:
            place.expect(run, 0)
        for place in places:
            found = search.read(place.url)
            assert place.wrong == []
            assert found.rows == world.undisturbed.rows
            assert (found.repeated, found.running) == (0, 0)
            assert set(search.begun_in(place.begun_log).values()) == {1}
