"""Every executor there is, for the contract that all of them keep."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bounded import until

from hpsearch.executors.base import Executor, InlineExecutor
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.executors.pool import PoolExecutor

EXECUTORS = ("inline", "pool", "dask")


@pytest.fixture
def dask(scheduler: str) -> Iterator[DaskExecutor]:
    """The two workers of the shared cluster."""
    made = both_workers(scheduler)
    yield made
    made.close(kill=True)


def both_workers(scheduler: str) -> DaskExecutor:
    """The two workers of the shared cluster; an earlier test may have killed one, which is about to be back."""
    made = DaskExecutor(scheduler)

    def are_there() -> bool:
        made.wait(0.1)
        return made.slots == 2

    until(are_there, what="two Dask workers")
    return made


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """One executor of each kind, without a batch; the pool is the same one for all tests of a module."""
    if request.param == "pool":
        yield request.getfixturevalue("shared_pool")
        return
    made = _made(request)
    yield made
    made.close(kill=True)


@pytest.fixture(params=EXECUTORS)
def own_executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """The same, to be closed."""
    made = _made(request)
    yield made
    made.close(kill=True)


def _made(request: pytest.FixtureRequest) -> Executor:
    match request.param:
        case "inline":
            return InlineExecutor()
        case "pool":
            return PoolExecutor(2)
        case _:
            return both_workers(request.getfixturevalue("scheduler"))


@pytest.fixture(scope="module")
def shared_pool() -> Iterator[PoolExecutor]:
    """Two workers, which one test after another loads its objective into."""
    made = PoolExecutor(2)
    yield made
    made.close(kill=True)


@pytest.fixture
def pool() -> Iterator[PoolExecutor]:
    """Two workers."""
    made = PoolExecutor(2)
    yield made
    made.close(kill=True)
