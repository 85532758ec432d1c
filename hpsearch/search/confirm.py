"""The door of a confirmation: what may be asked, and workers started before anything slow is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.errors import BadInput
from hpsearch.search import setup
from hpsearch.search.jobs import ConfirmJob as ConfirmJob  # callers find it beside confirm()
from hpsearch.search.jobs import Quiet
from hpsearch.search.running.interrupt import stopping

if TYPE_CHECKING:
    from hpsearch.search.confirming import Confirmation
    from hpsearch.search.jobs import Watcher

MOST = {"top": 200, "repeats": 1000}
"""The most settings and repeats of a confirmation: its roster is an attribute of one study."""


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
    setup.check_engine(job)
    for name, asked in (("top", job.top), ("repeats", job.repeats)):
        least = 2 if name == "repeats" else 1
        if not least <= asked <= MOST[name]:
            why = "; one repeat has no spread" if asked == 1 else ""
            raise BadInput(f"--{name} {asked}: give a number from {least} to {MOST[name]}{why}")
    with stopping() as stop:
        jobs = min(job.jobs or setup.cores(), job.top * job.repeats)
        # Workers get ready while this process loads its libraries, reads the data and opens the database.
        heard = Quiet() if watcher is None else watcher
        executor = setup.executor_for(job, jobs, note=heard.note)
        clean = False
        try:
            from hpsearch.search.confirming import run_confirmation

            done = run_confirmation(job, executor, heard, stop)
            clean = True
        finally:
            executor.close(kill=not clean)
    return done
