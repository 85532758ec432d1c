"""The door of the staged workflow: what may be asked, and workers started before anything slow is loaded.

The executor comes first and NumPy, which the others need, is loaded while its workers start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hpsearch.errors import BadInput, BadStudyFile, nearest
from hpsearch.executors.dask import dask_executor
from hpsearch.executors.inline import InlineExecutor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.objectives import kinds
from hpsearch.search import workflow as setup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from hpsearch.executors.base import Executor
    from hpsearch.records import Stage
    from hpsearch.search.confirmation import Confirmation
    from hpsearch.search.narrowing import Narrowed
    from hpsearch.search.runner import Summary, Tick
    from hpsearch.store import Store
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
            from hpsearch.search.stage_loop import run_stages

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
    from hpsearch.study_file import STUDIES_FOLDER, find

    try:
        return find(job.study)
    except BadStudyFile:
        from hpsearch.store.engine import no_database_yet

        if job.study is None or job.study.endswith(".toml") or no_database_yet(job.storage):
            raise
        if os.path.exists(STUDIES_FOLDER / f"{job.study}.toml"):  # and cannot be used; going on would hide that
            raise
        return None


@dataclass(frozen=True, slots=True)
class Job:
    """What `hpsearch start` was asked to do.

    Args:
        storage: SQLAlchemy URL or SQLite file.
        make_folder: Whether to make the SQLite file's folder; for the default storage, which nobody chose.
        study: Study file or name; None for the default.
        trials: Finished trials that each stage is to have; None for the study file's count.
        stage: Number of the stage to run; None for the latest.
        stages: How many stages the search is to have in the end; None to run one stage only.
        top: Best trials that narrowing between stages uses; None for 5.
        expand: Whether narrowing between stages may widen towards a bound.
        seed: Seed for a new search; None for the study file's.
        engine: ``pool`` (processes), ``dask``, or ``inline`` (this process, for debugging).
        jobs: Processes; None for one a core.
        scheduler: Address of a Dask scheduler, or its scheduler file; None for processes on this machine.
        lanes: Trials to a batch; None for what suits the network's size.
        pruner: Rule by which hopeless trials of a stage that begins stop early; None for the study file's.
        data_dir: Where data sets are looked for first.
    """

    storage: str
    make_folder: bool = False
    study: str | None = None
    trials: int | None = None
    stage: int | None = None
    stages: int | None = None
    top: int | None = None
    expand: bool = False
    seed: int | None = None
    engine: str = "pool"
    jobs: int | None = None
    scheduler: str | None = None
    lanes: int | None = None
    pruner: str | None = None
    data_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class ConfirmJob:
    """What `hpsearch confirm` was asked to do.

    Args:
        storage: SQLAlchemy URL or SQLite file.
        search: Name of the search, or its study file; None for the only one in the database.
        stage: Number of the stage to confirm; None for the latest that has trials.
        top: How many of its best trials.
        repeats: How often each is to have been trained.
        engine: ``pool`` (processes), ``dask``, or ``inline`` (this process, for debugging).
        jobs: Processes; None for one a core.
        scheduler: Address of a Dask scheduler, or its scheduler file; None for processes on this machine.
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
    scheduler: str | None = None
    lanes: int | None = None
    data_dir: Path | None = None


class Watcher(Protocol):
    """Told what happens, for a display."""

    def note(self, text: str) -> None:
        """Something worth saying that is no error."""

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0) -> None:
        """A stage or confirmation begins, or goes on; ``best`` is its best trial so far, number and score."""

    def tick(self, tick: Tick) -> None:
        """Trials have finished."""


class Listener(Watcher, Protocol):
    """The same of a workflow of stages."""

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """A stage has all its trials, or the run was stopped."""

    def narrowed(self, narrowed: Narrowed) -> None:
        """The next stage's ranges are made."""


class Quiet:
    """A `Listener` that says nothing, for programs and notebooks."""

    def note(self, text: str) -> None:
        """Nothing."""

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0) -> None:
        """Nothing."""

    def tick(self, tick: Tick) -> None:
        """Nothing."""

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """Nothing."""

    def narrowed(self, narrowed: Narrowed) -> None:
        """Nothing."""


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
            from hpsearch.search.confirmation import run_confirmation

            done = run_confirmation(job, executor, heard, stop)
            clean = True
        finally:
            executor.close(kill=not clean)
    return done


ENGINES = ("dask", "inline", "pool")
SCHEDULER_VARIABLE = "HPSEARCH_SCHEDULER"
_MOST = {"jobs": 1024, "stages": 1000}


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_counts(**asked: int | None) -> None:
    """Check options that count something.

    Raises:
        BadInput: One is below 1, or beyond all use.
    """
    for name, value in asked.items():
        most = _MOST.get(name, 10**9)
        if value is not None and not 1 <= value <= most:
            raise BadInput(f"--{name} {value}: give a number from 1 to {most:,}")


def check_pruner(rule: str | None) -> None:
    """Check a rule of pruning that was asked for; None: none was.

    Raises:
        BadInput: There is no such rule.
    """
    if rule is None:
        return
    from hpsearch.study_file import PRUNING_RULES

    if rule not in PRUNING_RULES:
        raise BadInput(f"--pruner {rule}: no such rule{nearest(rule, PRUNING_RULES)}")


def check_engine(job: Job | ConfirmJob) -> None:
    """Check where batches are to be evaluated, before anything is started.

    Raises:
        BadInput: There is no such engine, or an option beside it makes no sense there.
    """
    if job.engine not in ENGINES:
        raise BadInput(f"no engine {job.engine!r}{nearest(job.engine, ENGINES)}")
    if job.engine != "dask":
        if job.scheduler is not None:
            raise BadInput(
                f"--scheduler {job.scheduler} with --engine {job.engine}: add --engine dask, or leave it out"
            )
    elif scheduler_of(job) is not None and job.jobs is not None:
        raise BadInput(
            f"--jobs {job.jobs} with --scheduler {scheduler_of(job)}: the workers are those of its cluster; leave out "
            "one of them"
        )


def scheduler_of(job: Job | ConfirmJob) -> str | None:
    """The Dask scheduler that is meant: the one asked for, or the environment's; None: one of our own."""
    return job.scheduler or os.environ.get(SCHEDULER_VARIABLE) or None


def executor_for(job: Job | ConfirmJob, jobs: int, *, note: Callable[[str], None]) -> Executor:
    """Where batches are evaluated.

    Args:
        job: ``engine`` is ``pool`` for processes, ``dask`` for the workers of a Dask scheduler, or ``inline`` for this
            process: easy to debug, but Ctrl-C is heard at the ends of epochs only. Its BLAS must have one thread
            (`hpsearch.executors.blas.pin`), or results differ in their last bits.
        jobs: Processes of the pool, or workers of a Dask scheduler of our own.
        note: Told what is worth saying of workers that come and go.

    Raises:
        BadInput: No Dask scheduler answers, or one of its workers cannot be used.
        MissingExtra: Dask is not installed.
        EvaluationFailure: This machine does not let the workers start.
    """
    if job.engine == "inline":
        return InlineExecutor()
    if job.engine == "dask":
        return dask_executor(scheduler_of(job), jobs=jobs, preload=kinds.DEFAULT.preload, note=note)
    return PoolExecutor(jobs, preload=kinds.DEFAULT.preload)


class Stopping:
    """Whether a signal has asked for an end; call it to ask."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None


@contextlib.contextmanager
def stopping() -> Iterator[Stopping]:
    """Inside, the first SIGINT or SIGTERM is only noted; the second raises KeyboardInterrupt.

    Outside the main thread, where Python lets nobody handle signals, nothing is noted.
    """
    noted = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, frame: FrameType | None) -> None:
        if noted.signal is not None:
            raise KeyboardInterrupt
        noted.signal = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
