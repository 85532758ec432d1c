"""Where batches are evaluated: in this process, in a pool of processes, or on Dask."""

from hpsearch.executors.base import Batch, Done, Event, Executor, Lost, Progress
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.executors.inline import InlineExecutor
from hpsearch.executors.pool import PoolExecutor

__all__ = ["Batch", "DaskExecutor", "Done", "Event", "Executor", "InlineExecutor", "Lost", "PoolExecutor", "Progress"]
