"""What is worth saying about a cluster while it works, in one line each, and once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Notes:
    """Tells what happens to the workers and on the way to them; of a thousand workers no more than of one.

    Args:
        note: Whom.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._told: set[str] = set()

    def _tell(self, text: str, *, once: str | None = None) -> None:
        if (once or text) not in self._told:
            self._told.add(once or text)
            self._note(text)

    def no_workers(self, scheduler: str) -> None:
        """A run begins and has to wait."""
        self._tell(f"the Dask scheduler {scheduler} has no workers yet; trials begin when the first one comes")

    def no_workers_left(self, scheduler: str) -> None:
        """The last one went away."""
        self._tell(f"the Dask scheduler {scheduler} has no workers any more; trials go on when one comes")

    def refused(self, worker: str, reason: str) -> None:
        """A worker came that would find something else."""
        self._tell(f"the Dask worker {worker} {reason}. It is given no work")

    def died(self, worker: str) -> None:
        """A worker ended that nobody had asked to; its cluster starts another one, or does not."""
        self._tell(f"the Dask worker {worker} died; what dying workers were at goes to others", once="died")

    def mended(self, scheduler: str) -> None:
        """The connection broke, and is there again."""
        self._tell(f"the connection to the Dask scheduler {scheduler} broke and is mended; batches begin anew")

    def several_threads(self) -> None:
        """A worker would evaluate several batches in one process."""
        self._tell(
            "Dask workers with several threads evaluate so many batches in one process, where they wait for each "
            "other; --nthreads 1 is faster",
            once="threads",
        )

    def other_processor(self, worker: str) -> None:
        """A worker's results differ in their last bits from those of another one."""
        self._tell(
            f"the Dask worker {worker} has a processor of another kind than others: what it finds is as good, but "
            "not the same to the bit as it would be there",
            once="rounding",
        )
