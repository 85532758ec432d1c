"""How a cluster that adapts to its work (`cluster.adapt()`) learns that there is work for more workers.

Batches wait at the runner, not at the scheduler: whoever has claimed a batch keeps others from it. So a scheduler is
shown tasks that no worker can run, and counts them among the work that is waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Future

    from hpsearch.executors.dask.link import Link

_TASKS_A_WORKER = 10
"""Dask takes a task of which it knows nothing for half a second, and wants a worker for each five seconds."""
_MOST_TASKS = 1000
"""What is shown at a time costs the scheduler memory; the batches under way count as well."""
_FIRST_WORKERS = 4
"""So many workers are asked for at first, then up to twice as many as there are: where none come, it costs little."""


class Demand:
    """Tasks that stand for the workers that would have work.

    Args:
        link: What shows them to the scheduler.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._shown: list[Future] = []

    def show(self, workers: int, *, there: int) -> None:
        """Ask for workers.

        Args:
            workers: How many would have work, those that have some among them; 0: no more than are busy.
            there: How many there are.
        """
        wanted = min(_TASKS_A_WORKER * min(workers, max(2 * there, _FIRST_WORKERS)), _MOST_TASKS)
        if wanted > len(self._shown):
            self._shown += self._link.show(wanted - len(self._shown))
        while len(self._shown) > wanted:
            self._shown.pop().release()

    def lost(self) -> None:
        """The scheduler knows nothing of it any more."""
        self._shown = []
