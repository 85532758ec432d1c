"""After any fault the next start completes the search: nothing lost, nothing twice, every value to the bit.

A few faults of each kind; ``python tests/benchmarks/faults.py`` makes hundreds.
"""

from __future__ import annotations

import pytest
from faulty.kinds import KINDS, World, lacking
from faulty.place import Result

pytestmark = pytest.mark.slow

_MANY = {"kill": 2, "kill-sql": 3, "dask-torn": 0}
"""How many faults of a kind; of others, one. Of two that are close and slow, the benchmark alone has one."""


@pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for kind in KINDS for seed in range(_MANY.get(kind, 1))])
def test_the_next_start_completes_the_search(world: World, kind: str, seed: int) -> None:
    if (reason := lacking(kind)) is not None:
        pytest.skip(reason)
    result = world.suffer(kind, seed)
    assert result.clean, result
    assert result == Result(again=result.again)
