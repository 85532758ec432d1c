"""The door of the staged workflow: what may be asked, and workers started before anything slow is loaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput, BadStudyFile
from hpsearch.search import setup
from hpsearch.search.jobs import Job as Job  # callers find it beside run()
from hpsearch.search.jobs import Quiet
from hpsearch.search.running.interrupt import stopping

if TYPE_CHECKING:
    from hpsearch.search.jobs import Listener
    from hpsearch.study_file import StudyFile


def run(job: Job, listener: Listener | None = None) -> None:
    """Run a stage, or a whole search of several stages, up to the trials asked for.

    Args:
        job: What to do.
        listener: Told what happens; None: nobody.

    Raises:
        BadInput: Something in the job cannot be done as asked.
        Interrupted: Ctrl-C or SIGTERM; everything finished is recorded.
        StorageFailure: The database stopped working; what was recorded stays.
    """
    _check(job)
    with stopping() as stop:
        study = _find(job)
        jobs = job.jobs or setup.cores()
        if study is not None:
            jobs = min(jobs, job.trials or study.trials.count)
        # Workers get ready while this process loads its libraries, reads the data and opens the database.
        heard = Quiet() if listener is None else listener
        executor = setup.executor_for(job, jobs, note=heard.note)
        clean = False
        try:
            from hpsearch.search.stages import run_stages

            run_stages(job, study, executor, heard, stop)
            clean = True
        finally:
            executor.close(kill=not clean)


def _check(job: Job) -> None:
    setup.check_counts(trials=job.trials, stages=job.stages, jobs=job.jobs, lanes=job.lanes)
    setup.check_engine(job)
    setup.check_pruner(job.pruner)
    if job.seed is not None and not 0 <= job.seed < 2**63:
        raise BadInput(f"--seed {job.seed}: give a whole number from 0")
    if job.stages is None and (job.top is not None or job.expand):
        said = "--expand" if job.expand else f"--top {job.top}"
        raise BadInput(f"{said} without --stages: one stage is run and none narrowed; add --stages N, or leave it out")
    if job.top is not None and job.top < 2:
        raise BadInput(f"--top {job.top}: narrowing needs the spread of at least 2 trials")


def _find(job: Job) -> StudyFile | None:
    """The study file, or None where there is none but the database may hold one under that name."""
    from hpsearch.study_lookup import STUDIES_FOLDER, find

    try:
        return find(job.study)
    except BadStudyFile:
        from hpsearch.store.urls import no_database_yet

        if job.study is None or job.study.endswith(".toml") or no_database_yet(job.storage):
            raise
        if os.path.exists(STUDIES_FOLDER / f"{job.study}.toml"):  # and cannot be used; going on would hide that
            raise
        return None
