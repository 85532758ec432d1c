"""Batches as tasks on a Dask cluster; nothing outside this package knows Dask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.errors import MissingExtra
from hpsearch.records import Argument

if TYPE_CHECKING:
    from hpsearch.executors.dask.executor import DaskExecutor


def dask_executor(scheduler: str | None = None, **options: Any) -> DaskExecutor:
    """Return a `hpsearch.executors.dask.executor.DaskExecutor` with these arguments.

    Raises:
        MissingExtra: Dask is not installed.
    """
    try:
        from hpsearch.executors.dask.executor import DaskExecutor  # the extra [dask]
    except ImportError as error:
        raise MissingExtra("{} needs Dask; pip install 'hpsearch[dask]'", Argument("engine", "dask")) from error
    return DaskExecutor(scheduler, **options)
