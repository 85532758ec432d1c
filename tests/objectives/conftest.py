"""The engines that a user's objective runs with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hpsearch.executors.base import Executor, InlineExecutor
from hpsearch.executors.dask import dask_executor
from hpsearch.executors.pool import PoolExecutor


@pytest.fixture(params=["inline", "pool", "dask"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    make: Any = {
        "inline": InlineExecutor,
        "pool": lambda: PoolExecutor(1),
        "dask": lambda: dask_executor(jobs=1, preload=None, note=print),
    }[request.param]
    executor = make()
    yield executor
    executor.close()
