"""Jobs that train trials: their records and checks, and the start of their workers.

This module loads no heavy library: workers get ready while `hpsearch.search.stage_loop` and
`hpsearch.search.confirmation`, which do the work, load theirs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.errors import BadArgument, BadInput, BadStudyFile, nearest
from hpsearch.executors.dask import dask_executor
from hpsearch.executors.inline import InlineExecutor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.objectives import kinds
from hpsearch.records import Argument
from hpsearch.study_file import PRUNING_RULES, STUDIES_FOLDER, StudyFile, find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from hpsearch.executors.base import Executor
    from hpsearch.records import Stage
    from hpsearch.search.confirmation import Confirmation
    from hpsearch.search.narrowing import NextStage
    from hpsearch.search.runner import Summary, Tick
    from hpsearch.store import Store

ENGINES = ("dask", "inline", "pool")
SCHEDULER_VARIABLE = "HPSEARCH_SCHEDULER"
MOST = {"jobs": 1024, "stages": 1000, "confirmed": 200, "repeats": 1000}
"""The most processes and stages, and the most settings and repeats of a confirmation, whose plan is one attribute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """The database and the workers of a job; the fields are those of `hpsearch.Search.start`."""

    storage: str
    engine: str = "pool"
    jobs: int | None = None
    scheduler: str | None = None
    lanes: int | None = None
    data_dir: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Execution):
    """A job of one stage, or of a whole search of several; the fields are those of `hpsearch.Search.start`.

    Args:
        make_folder: Whether to make the SQLite file's folder; for the default storage, which nobody chose.
    """

    make_folder: bool = False
    study: str | None = None
    trials: int | None = None
    stage: int | None = None
    stages: int | None = None
    top: int | None = None
    expand: bool = False
    seed: int | None = None
    pruner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmJob(Execution):
    """A job of one confirmation; the fields are those of `hpsearch.Search.confirm`."""

    search: str | None = None
    stage: int | None = None
    top: int = 5
    repeats: int = 10


class Listener:
    """Receives the progress of a job; this one ignores it."""

    def note(self, text: str) -> None:
        """Receive a remark that is no error."""

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0) -> None:
        """A stage or confirmation begins, or goes on; ``best`` is its best trial so far, number and score."""

    def tick(self, tick: Tick) -> None:
        """Trials have finished."""

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """A stage has all its trials, or the run was stopped."""

    def narrowed(self, narrowed: NextStage) -> None:
        """The next stage's ranges are made."""


class Stopping:
    """The first signal that asked for an end; calling it returns whether there was one."""

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


def run(job: Job, listener: Listener | None = None) -> list[tuple[Stage, Summary]]:
    """Run a stage, or a whole search of several, up to the number of trials; return the stages that ran.

    Raises:
        BadInput: Something in the job cannot be done.
        Interrupted: Ctrl-C or SIGTERM; everything finished is recorded.
        StorageFailure: The database stopped working; the recorded trials stay.
    """
    listener = listener or Listener()
    _check(job)
    with stopping() as stop:
        study = _find(job)
        most = None if study is None else job.trials or study.trials.count
        with _workers(job, most, listener.note) as executor:
            from hpsearch.search.stage_loop import run_stages  # heavy: loads while the workers start

            return run_stages(job, study, executor, listener, stop)


def confirm(job: ConfirmJob, listener: Listener | None = None) -> Confirmation:
    """Train a stage's best trials again with fresh seeds, until each has been trained so many times.

    The arguments and errors are those of `run`.
    """
    listener = listener or Listener()
    check_counts(jobs=job.jobs, lanes=job.lanes)
    _check_engine(job)
    for name, value, least, most in (("top", job.top, 1, "confirmed"), ("repeats", job.repeats, 2, "repeats")):
        if not least <= value <= MOST[most]:
            why = "; one repeat has no spread" if value == 1 else ""
            raise BadArgument(name, value, f"give a number from {least} to {MOST[most]}{why}")
    with stopping() as stop, _workers(job, job.top * job.repeats, listener.note) as executor:
        from hpsearch.search.confirmation import run_confirmation  # heavy: loads while the workers start

        return run_confirmation(job, executor, listener, stop)


def _check(job: Job) -> None:
    check_counts(trials=job.trials, stages=job.stages, jobs=job.jobs, lanes=job.lanes)
    _check_engine(job)
    check_pruner(job.pruner)
    check_seed(job.seed)
    if job.stages is None and (job.top is not None or job.expand):
        argument = Argument("expand") if job.expand else Argument("top", job.top)
        raise BadInput(
            "{} without {}: one stage is run and none narrowed; add it, or leave the other out",
            argument,
            Argument("stages"),
        )
    if job.top is not None and job.top < 2:
        raise BadArgument("top", job.top, "narrowing needs the spread of at least 2 trials")


def _find(job: Job) -> StudyFile | None:
    """Return the study file, or None where there is none but the database may hold one under that name."""
    try:
        return find(job.study)
    except BadStudyFile:
        # One that is there and cannot be used is not to be hidden by going on.
        if job.study is None or job.study.endswith(".toml") or os.path.exists(STUDIES_FOLDER / f"{job.study}.toml"):
            raise
        return None


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_counts(**counts: int | None) -> None:
    """Check that arguments which count something are at least 1, and not beyond all use."""
    for name, value in counts.items():
        most = MOST.get(name, 10**9)
        if value is not None and not 1 <= value <= most:
            raise BadArgument(name, value, f"give a number from 1 to {most:,}")


def check_seed(seed: int | None) -> None:
    """Check that a seed is a whole number of at most 63 bits; None: none was given."""
    if seed is not None and not 0 <= seed < 2**63:
        raise BadArgument("seed", seed, "give a whole number from 0")


def check_pruner(rule: str | None) -> None:
    """Check that there is a pruning rule; None: none was given."""
    if rule is not None and rule not in PRUNING_RULES:
        raise BadArgument("pruner", rule, f"no such rule{nearest(rule, PRUNING_RULES)}")


def _check_engine(job: Execution) -> None:
    if job.engine not in ENGINES:
        raise BadArgument("engine", job.engine, f"no such engine{nearest(job.engine, ENGINES)}")
    if job.engine != "dask":
        if job.scheduler is not None:
            argument, engine = Argument("scheduler", job.scheduler), Argument("engine", job.engine)
            raise BadInput("{} with {}: use {}, or leave it out", argument, engine, Argument("engine", "dask"))
    elif _scheduler(job) is not None and job.jobs is not None:
        raise BadInput(
            "{} with {}: the workers are those of its cluster; leave out one of them",
            Argument("jobs", job.jobs),
            Argument("scheduler", _scheduler(job)),
        )


def _scheduler(job: Execution) -> str | None:
    """Return the Dask scheduler: the job's, or the environment's; None: one of our own."""
    return job.scheduler or os.environ.get(SCHEDULER_VARIABLE) or None


@contextlib.contextmanager
def _workers(job: Execution, most: int | None, note: Callable[[str], None]) -> Iterator[Executor]:
    """Start the workers of a job, at most as many as it has trials; kill them if it fails.

    Inline, Ctrl-C is heard at the ends of epochs only, and BLAS must have one thread (`hpsearch.executors.blas.pin`),
    or results differ in their last bits.
    """
    jobs = min(job.jobs or cores(), most or 10**9)
    preload = kinds.DEFAULT.preload
    executor: Executor
    if job.engine == "inline":
        executor = InlineExecutor()
    elif job.engine == "dask":
        executor = dask_executor(_scheduler(job), jobs=jobs, preload=preload, note=note)
    else:
        executor = PoolExecutor(jobs, preload=preload)
    finished = False
    try:
        yield executor
        finished = True
    finally:
        executor.close(kill=not finished)
