"""The staged workflow: jobs with their checks and workers, and the loop that runs a stage, narrows, runs the next."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadArgument, BadInput, BadStudyFile, EvaluationFailure, nearest
from hpsearch.executors.base import Executor, InlineExecutor, child_threads
from hpsearch.executors.dask import dask_executor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.files import make_folder
from hpsearch.functions import check_not_importing
from hpsearch.objectives import kinds
from hpsearch.records import Argument, Sentence, Stage
from hpsearch.roles import combinations
from hpsearch.search.best import REPEATS, TOP
from hpsearch.search.limits import NONE, Limits, StopRequests
from hpsearch.search.narrowing import DEFAULT_TOP, NextStage, check_top, narrow_stage
from hpsearch.search.pruning import epochs_spent, plan_of, unused_words
from hpsearch.search.refinement import Proposals
from hpsearch.search.runner import Runner, Summary, Tick, interrupted
from hpsearch.search.stage import (
    adjusted,
    adopt,
    begin,
    check_counts,
    check_fingerprint,
    check_seed,
    kept_study,
    no_study_file,
    other_version,
)
from hpsearch.store import Counts, Store, open_store
from hpsearch.store.engine import no_database_yet
from hpsearch.study_file import PRUNING_RULES, STUDIES_FOLDER, StudyFile, differences, find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from hpsearch.objectives.base import Data, Estimate, Kind

ENGINES = ("dask", "inline", "pool")
SCHEDULER_VARIABLE = "HPSEARCH_SCHEDULER"


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
    """A job of one stage, or of a whole search of several; the fields are those of `hpsearch.Search.start`."""

    make_folder: bool = False  # whether to make the SQLite file's folder; for the default storage, which nobody chose
    study: str | None = None
    given: StudyFile | None = None  # in place of the file, for a search that is defined in Python
    trials: int | None = None
    stage: int | None = None
    stages: int | None = None
    top: int | None = None
    expand: bool = False
    seed: int | None = None
    pruner: str | None = None
    epochs: int | None = None
    limits: Limits = NONE  # of the whole job


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmJob(Execution):
    """A job of one confirmation; the fields are those of `hpsearch.Search.confirm`."""

    search: str | None = None
    given: StudyFile | None = None  # as a job's
    stage: int | None = None
    top: int = TOP
    repeats: int = REPEATS


class Listener:
    """A receiver of the progress of a job; this one ignores it."""

    def note(self, text: str | Sentence) -> None:
        """Receive a note."""

    def began(
        self, stage: Stage, store: Store, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0
    ) -> None:
        """A stage or confirmation begins, or goes on; ``best`` is its best trial so far, number and score."""

    def tick(self, tick: Tick) -> None:
        """Trials have finished."""

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """A stage has all its trials, or the run was stopped."""

    def narrowed(self, narrowed: NextStage) -> None:
        """The next stage's ranges are made."""


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Record the first SIGINT, SIGTERM or SIGHUP inside the block; another SIGINT or SIGTERM raises KeyboardInterrupt.

    Yields a function that returns whether there was one. Outside the main thread, where Python allows no signal
    handlers, nothing is recorded, and no SIGHUP where it is ignored, as under `nohup`.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received and number != signal.SIGHUP:  # a closed terminal's shell and kernel send one each
            raise KeyboardInterrupt("stopped at once; what was recorded stays, and the same command goes on")
        received.append(number)

    main = threading.current_thread() is threading.main_thread()
    ending = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ending.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in ending if main}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(job: Job, listener: Listener | None = None) -> list[tuple[Stage, Summary]]:
    """Run a stage, or a whole search of several, up to the number of trials; return the stages that ran.

    The last of them may be incomplete, where a limit was reached or the run was asked to stop.

    Raises:
        BadInput: Something in the job cannot be done.
        EvaluationFailure: As many trials in a row have failed as the limit allows.
        Interrupted: Ctrl-C or SIGTERM; everything finished is recorded.
        StorageFailure: The database stopped working; the recorded trials stay.
    """
    listener = listener or Listener()
    _check(job)
    if job.study is None and job.given is None and not no_database_yet(job.storage):
        with closing(open_store(job.storage)) as store:
            searches = store.searches()
        job = replace(job, study=searches[0] if len(searches) == 1 else None)
    with stopping() as stop:
        study = _find(job)
        if study is not None and job.limits.until is not None:
            job.limits.until.check(study.metric, study.direction)
        most = None if study is None else job.trials or study.trials.count
        with workers(job, most, listener.note, None if study is None else study.kind) as executor:
            return _Loop(job, executor, listener, stop).run(study)


def _check(job: Job) -> None:
    check_counts(trials=job.trials, stages=job.stages, jobs=job.jobs, lanes=job.lanes, epochs=job.epochs)
    check_pruner(job.pruner)
    check_seed(job.seed)
    if job.stages is None and (job.top is not None or job.expand):
        argument = Argument("expand") if job.expand else Argument("top", job.top)
        needed = "{} needs {}: a single stage is not narrowed; give both, or neither"
        raise BadInput(needed, argument, Argument("stages"))
    if job.top is not None and job.top < 2:
        raise BadArgument("top", job.top, "narrowing needs the spread of at least 2 trials")


def _find(job: Job) -> StudyFile | None:
    """Return the study file, or None where there is none but the database may hold one under that name."""
    if job.given is not None:
        return job.given
    try:
        return find(job.study)
    except BadStudyFile:
        # A file that exists but cannot be used is an error.
        if job.study is None or job.study.endswith(".toml") or os.path.exists(STUDIES_FOLDER / f"{job.study}.toml"):
            raise
        return None


class _Loop:
    """The stages of one job, one after another."""

    def __init__(self, job: Job, executor: Executor, listener: Listener, stop: Callable[[], bool]) -> None:
        self._job, self._executor, self._listener, self._stop = job, executor, listener, stop
        self._loaded: tuple[Any, Data] | None = None
        self._began = time.monotonic()

    def run(self, study: StudyFile | None) -> list[tuple[Stage, Summary]]:
        """Run the stages; without a study file by the one in the database."""
        job, self._file = self._job, study
        new = no_database_yet(job.storage)
        if study is None and new:
            study = find(job.study)  # raises
        if study is not None:
            # Before the database is made: a study that cannot run leaves no file.
            if new:
                self._check_top(study, [], None)
            self._data(study)
            study.check_names()
        if job.make_folder:
            make_folder(Path(job.storage).parent)
        with closing(open_store(job.storage, create=study is not None, write=True)) as store:
            store.on_disconnect(self._listener.note, stopping=self._stop)
            if study is None:
                study = _kept(job, store)
                study.check_names()
            self._check_top(study, store.stages(study.name), store)
            stage, until = self._begin(study, store), job.trials or study.trials.count
            requested, runs = StopRequests(store, stage.search), []
            while True:
                summary = self._run_stage(stage, until, store, requested)
                runs.append((stage, summary))
                if summary.ended_by != "trials" or job.stages is None or stage.number >= job.stages:
                    return runs
                stage = self._next(store, stage)

    def _data(self, study: StudyFile) -> Data:
        """Return the data of a study file, loaded once for all stages."""
        if self._loaded is None or self._loaded[0] != study.sections:
            self._loaded = study.sections, study.load(data_dir=self._job.data_dir)
        return self._loaded[1]

    def _check_top(self, study: StudyFile, stages: list[Stage], store: Store | None) -> None:
        # Before anything is trained, not after the first stage; only where there will be narrowing.
        job, until = self._job, self._job.trials or study.trials.count
        if job.stages is None or job.stages <= (stages[-1].number if stages else 1):
            return
        counts = store.counts(stages[-1]) if stages and store is not None else Counts()
        # A stage that has begun uses its own copy of the study file.
        if stages and kinds.trainable(stages[-1]):
            study = kept_study(stages[-1])
        plan = plan_of(adjusted(study, job.pruner, job.epochs))
        values = len(combinations(stages[-1].space if stages else study.space))
        check_top(job.top or DEFAULT_TOP, until, plan, counts, combinations=values)

    def _begin(self, study: StudyFile, store: Store) -> Stage:
        job, data = self._job, self._data(study)
        pruner, epochs = job.pruner, job.epochs
        stage, new = begin(store, study, data, number=job.stage, seed=job.seed, pruner=pruner, epochs=epochs)
        if not kinds.trainable(stage):
            return adopt(store, stage, adjusted(study, pruner, epochs), data)
        notes: list[str | None]
        if new:
            notes = [*map(str, data.notes), unused_words(adjusted(study, pruner, epochs))]
        else:
            notes = [other_version(store, stage), *_as_begun(stage, study, job)]
        for note in filter(None, notes):
            self._listener.note(note)
        return stage

    def _run_stage(self, stage: Stage, until: int, store: Store, requested: Callable[[], bool]) -> Summary:
        study, executor, listener = kept_study(stage), self._executor, self._listener
        if self._file is not None:
            study = study.run_as(self._file, *(() if self._job.given is None else ("function",)))
        data = self._data(study)
        objective = study.objective(data, seed=stage.seed, space=stage.ranges, name=stage.name)
        check_fingerprint(stage, data.fingerprint)
        if stage.refinement is not None:
            store.sample_by(stage, Proposals(store, stage))
        if (limits := self._job.limits).until is not None:
            limits.until.check(stage.metric, stage.direction)
        top = store.columns(stage, top=1)
        best = (top["number"][0], top["score"][0]) if top["number"] else None
        finished = store.counts(stage).finished
        listener.began(stage, store, until=until, jobs=executor.slots, best=best, finished=finished)
        options: dict[str, Any] = {"lanes": self._job.lanes, "on_tick": listener.tick, "stopping": self._stop}
        options |= {
            "retries": kinds.retries(study.to_dict()),
            "limits": limits,
            "began": self._began,
            "stop_requested": requested,
            "note": listener.note,
        }
        summary = Runner(store, stage, objective, executor, until=until, plan=plan_of(study), **options).run()
        listener.ended(store.reread(stage), summary, store)
        if summary.stopped:
            raise interrupted(stage, summary, until)
        if summary.ended_by in ("failures", "max_failures") and summary.reason is not None:
            raise EvaluationFailure(summary.reason.text, *summary.reason.mentions)
        return summary

    def _next(self, store: Store, stage: Stage) -> Stage:
        job, stages = self._job, store.stages(stage.search)
        later = [other for other in stages if other.parent == stage.number and other.refinement is None]
        if later:  # narrowed already, by hand or by an earlier run
            return later[-1]
        narrowed = narrow_stage(store, stages, number=stage.number, top=job.top or DEFAULT_TOP, expand=job.expand)
        self._listener.narrowed(narrowed)
        assert narrowed.stage is not None
        return narrowed.stage


def _as_begun(stage: Stage, study: StudyFile, job: Job) -> Iterator[str]:
    """Yield notes on what a stage goes on with, as it was begun, where the study file says something else."""
    trained, rule = kinds.trained_epochs(stage), stage.pruning_rule
    now = study.kind.trained_epochs(study.to_dict())
    if job.pruner is None and rule != study.pruning.rule:
        yield f"{stage.name} goes on with pruning by {rule}, as it was begun; the study file says {study.pruning.rule}"
    if trained != now and trained is not None and now is not None:
        study = study.with_epochs(trained)
        if job.epochs is None:
            yield f"{stage.name} goes on with trials of {trained} epochs, as it was begun; the study file says {now}"
    if job.given is None and (changed := "; ".join(differences(stage.study_file, study.to_dict()))):
        yield (
            f"the study file has changed since {stage.name} was begun ({changed}); the stage continues with the file "
            "that it began with. To search with the new one, give it another name"
        )


def _kept(job: Job, store: Store) -> StudyFile:
    """Return the study file that the database keeps of a search, for a run without the file."""
    stages = store.stages(job.study)
    if not stages:
        return find(job.study)  # raises
    # The first stage may have been run elsewhere, by no study file, and a later one here.
    first = next((stage for stage in stages if kinds.trainable(stage)), None)
    if first is None:
        raise no_study_file(stages[0])
    return kept_study(first)


def estimate(study: StudyFile, data: Data, *, trials: int, jobs: int) -> tuple[Estimate, float | None]:
    """Estimate the cost of a trial, and the seconds of a stage, by timing one batch of its most expensive trials.

    None in place of the seconds where the trial failed.
    """
    study.check_names()
    rounds = math.ceil(trials / jobs)
    trial = study.kind.runtime().estimate(study.sections, data, stage=study.first_stage(), lanes=rounds)
    if trial.facts.get("failure") is not None:
        return trial, None
    plan = plan_of(study)
    share = 1.0 if plan is None else epochs_spent(plan, trials) / (trials * plan.epochs)
    return trial, trial.seconds_per_trial * rounds * share


def cores(root: Path = Path("/")) -> int:
    """Return how many cores this process may use: those of its affinity, at most its container's quota, rounded up."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min([count, *map(math.ceil, _quotas(root))]), 1)


def _quotas(root: Path) -> Iterator[float]:
    """Return the cores that control groups allow, of version 1 and 2, in this process's group and those above it."""
    try:
        groups = [line.split(":", 2) for line in (root / "proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in groups:
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = top / path.lstrip("/")  # of the host where the container sees itself as the top
        for folder in (group, *group.parents[: len(group.parents) - len(top.parents)]):
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
            with suppress(OSError, ValueError):  # no such file, or "max"
                quota, period = map(int, " ".join((folder / name).read_text() for name in names).split())
                if quota > 0 and period > 0:
                    yield quota / period


def check_pruner(rule: str | None) -> None:
    """Check that there is a pruning rule of that name."""
    if rule is not None and rule not in PRUNING_RULES:
        raise BadArgument("pruner", rule, f"no such rule{nearest(rule, PRUNING_RULES)}")


@contextmanager
def workers(
    job: Execution, most: int | None, note: Callable[[str], None], kind: Kind | None = None
) -> Iterator[Executor]:
    """Start the workers of a job, at most as many as it has trials; kill them if it fails.

    They load the module of the kind; if it is not known before the database is open, that of the default kind.

    Inline, Ctrl-C takes effect at the end of an epoch, and BLAS must have one thread (`hpsearch.executors.base.pin`),
    or results differ in their last bits.
    """
    check_not_importing()
    scheduler = job.scheduler or os.environ.get(SCHEDULER_VARIABLE) or None  # None: hpsearch starts one
    if job.engine not in ENGINES:
        raise BadArgument("engine", job.engine, f"no such engine{nearest(job.engine, ENGINES)}")
    if job.engine != "dask" and job.scheduler is not None:
        argument, engine = Argument("scheduler", job.scheduler), Argument("engine", job.engine)
        raise BadInput("{} with {}: use {}, or leave it out", argument, engine, Argument("engine", "dask"))
    if job.engine == "dask" and scheduler is not None and job.jobs is not None:
        problem = "{} with {}: the workers are those of its cluster; leave out one of them"
        raise BadInput(problem, Argument("jobs", job.jobs), Argument("scheduler", scheduler))
    jobs = min(job.jobs or cores(), most or 10**9)
    preload = (kind or kinds.DEFAULT).preload
    with child_threads(max(1, cores() // jobs) if job.engine != "inline" and jobs > 1 else None):
        executor: Executor
        if job.engine == "inline":
            executor = InlineExecutor()
        elif job.engine == "dask":
            executor = dask_executor(scheduler, jobs=jobs, preload=preload, note=note)
        else:
            executor = PoolExecutor(jobs, preload=preload)
        try:
            yield executor
        except BaseException:
            executor.close(kill=True)
            raise
        executor.close()
