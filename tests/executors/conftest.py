"""Every executor there is, for the contract that all of them keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from hpsearch.executors import Executor, InlineExecutor, PoolExecutor

EXECUTORS: dict[str, Callable[[], Executor]] = {"inline": InlineExecutor, "pool": lambda: PoolExecutor(2)}


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """One executor of each kind."""
    made = EXECUTORS[request.param]()
    yield made
    made.close(kill=True)


@pytest.fixture
def pool() -> Iterator[PoolExecutor]:
    """Two workers."""
    made = PoolExecutor(2)
    yield made
    made.close(kill=True)
