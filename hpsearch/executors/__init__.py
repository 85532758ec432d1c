"""Where batches are evaluated: in this process, or in a pool of processes."""

from hpsearch.executors.base import Batch, Done, Event, Executor, Lost, Progress
from hpsearch.executors.inline import InlineExecutor
from hpsearch.executors.pool import PoolExecutor

__all__ = ["Batch", "Done", "Event", "Executor", "InlineExecutor", "Lost", "PoolExecutor", "Progress"]
