"""Where batches are evaluated: in this process, in a pool of processes, or on Dask.

Each is loaded when it is used: every command passes through this package to pin BLAS, and what Dask and the pool stand
on is a quarter of all that a short one would load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpsearch.executors.base import Batch, Done, Event, Executor, Lost, Progress
    from hpsearch.executors.dask.executor import DaskExecutor
    from hpsearch.executors.inline import InlineExecutor
    from hpsearch.executors.pool import PoolExecutor

__all__ = ["Batch", "DaskExecutor", "Done", "Event", "Executor", "InlineExecutor", "Lost", "PoolExecutor", "Progress"]

_WHERE = {
    **dict.fromkeys(("Batch", "Done", "Event", "Executor", "Lost", "Progress"), "base"),
    "DaskExecutor": "dask.executor",
    "InlineExecutor": "inline",
    "PoolExecutor": "pool",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = found
    return found
