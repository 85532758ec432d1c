"""The same work on every core at once, in processes with one BLAS thread each, begun together."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeAlias, TypeVar

from hpsearch.executors.blas import pinned_children

T = TypeVar("T")
Start: TypeAlias = Callable[[], object]
"""Returns when all processes are ready."""


def cores() -> list[int]:
    """The cores that this process may use; where the system does not say which, their numbers."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def at_once(work: Callable[[int, Start], T], *, processes: int) -> list[T]:
    """Call ``work(index, start)`` in so many processes, each bound to a core; it calls ``start`` when it is ready.

    Args:
        work: A function of a module, or a partial of one.
        processes: How many; at most as many as there are cores makes sense.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    pipes, workers = [], []
    with pinned_children():
        for index in range(processes):
            mine, theirs = context.Pipe(duplex=False)
            core = cores()[index % len(cores())]
            workers.append(context.Process(target=_work, args=(work, index, core, barrier, theirs), daemon=True))
            workers[-1].start()
            theirs.close()
            pipes.append(mine)
    found = [pipe.recv() for pipe in pipes]  # EOFError where a worker died
    for worker in workers:
        worker.join()
    return found


def _work(work: Callable[[int, Start], Any], index: int, core: int, barrier: Any, answer: Connection[Any, Any]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    try:
        answer.send(work(index, barrier.wait))
    except BaseException:
        barrier.abort()  # the others would wait for ever
        raise
