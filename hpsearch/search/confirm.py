"""The door of a confirmation: what may be asked, and workers started before anything slow is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hpsearch.errors import BadInput
from hpsearch.search import setup
from hpsearch.search.interrupt import stopping

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.records import Stage
    from hpsearch.search.confirming import Confirmation
    from hpsearch.search.runner import Tick

MOST = {"top": 200, "repeats": 1000}
"""The most settings and repeats of a confirmation: its roster is an attribute of one study."""


@dataclass(frozen=True, slots=True)
class ConfirmJob:
    """What `hpsearch confirm` was asked to do.

    Args:
        storage: SQLAlchemy URL or SQLite file.
        search: Name of the search, or its study file; None for the only one in the database.
        stage: Number of the stage to confirm; None for the latest that has trials.
        top: How many of its best trials.
        repeats: How often each is to have been trained.
        engine: ``pool`` (processes) or ``inline`` (this process, for debugging).
        jobs: Processes; None for one a core.
        lanes: Trials to a batch; None for what suits the network's size.
        data_dir: Where data sets are looked for first.
    """

    storage: str
    search: str | None = None
    stage: int | None = None
    top: int = 5
    repeats: int = 10
    engine: str = "pool"
    jobs: int | None = None
    lanes: int | None = None
    data_dir: Path | None = None


class Watcher(Protocol):
    """Told what happens, for a display."""

    def note(self, text: str) -> None:
        """Something worth saying that is no error."""

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None) -> None:
        """The confirmation begins, or goes on."""

    def tick(self, tick: Tick) -> None:
        """Trials have finished."""


class Unwatched:
    """A `Watcher` that says nothing, for programs and notebooks."""

    def note(self, text: str) -> None:
        """Nothing."""

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None) -> None:
        """Nothing."""

    def tick(self, tick: Tick) -> None:
        """Nothing."""


def confirm(job: ConfirmJob, watcher: Watcher | None = None) -> Confirmation:
    """Train a stage's best trials again with fresh seeds, until each has been trained as often as asked.

    Args:
        job: What to do.
        watcher: Told what happens; None: nobody.

    Raises:
        BadInput: Something in the job cannot be done as asked.
        Interrupted: Ctrl-C or SIGTERM; everything finished is recorded.
        StorageFailure: The database stopped working; what was recorded stays.
    """
    setup.check_counts(jobs=job.jobs, lanes=job.lanes)
    for name, asked in (("top", job.top), ("repeats", job.repeats)):
        least = 2 if name == "repeats" else 1
        if not least <= asked <= MOST[name]:
            why = "; one repeat has no spread" if asked == 1 else ""
            raise BadInput(f"--{name} {asked}: give a number from {least} to {MOST[name]}{why}")
    with stopping() as stop:
        jobs = min(job.jobs or setup.cores(), job.top * job.repeats)
        # Workers get ready while this process loads its libraries, reads the data and opens the database.
        executor = setup.executor_for(job.engine, jobs)
        clean = False
        try:
            from hpsearch.search.confirming import run_confirmation

            done = run_confirmation(job, executor, Unwatched() if watcher is None else watcher, stop)
            clean = True
        finally:
            executor.close(kill=not clean)
    return done
