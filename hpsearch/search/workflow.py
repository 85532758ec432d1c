"""The staged workflow, unattended: run a stage, narrow, run the next."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hpsearch.data import Split
from hpsearch.errors import BadInput, BadStorage, BadStudyFile, Interrupted
from hpsearch.executors import Executor
from hpsearch.records import Stage
from hpsearch.search import setup
from hpsearch.search.interrupt import Stopping, stopping
from hpsearch.search.next_stage import Narrowed, narrow_stage
from hpsearch.search.runner import Runner, Summary, Tick
from hpsearch.search.stage import begin, check_fingerprint
from hpsearch.store import Store, open_store
from hpsearch.store.database import parse_url, sqlite_file
from hpsearch.study_file import StudyFile, differences, parse
from hpsearch.study_lookup import STUDIES_FOLDER, find
from hpsearch.study_sections import Data

_TOP = 5
"""Best trials that narrowing uses unless told otherwise."""


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
        engine: ``pool`` (processes) or ``inline`` (this process, for debugging).
        jobs: Processes; None for one a core.
        lanes: Trials to a batch; None for what suits the network's size.
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
    lanes: int | None = None
    data_dir: Path | None = None


class Listener(Protocol):
    """Told what happens, for a display."""

    def note(self, text: str) -> None:
        """Something worth saying that is no error."""

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None) -> None:
        """A stage begins, or goes on; ``best`` is the number and score of its best trial so far."""

    def tick(self, tick: Tick) -> None:
        """Trials have finished."""

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """A stage has all its trials, or the run was stopped."""

    def narrowed(self, narrowed: Narrowed) -> None:
        """The next stage's ranges are made."""


class Quiet:
    """A `Listener` that says nothing, for programs and notebooks."""

    def note(self, text: str) -> None:
        """Nothing."""

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None) -> None:
        """Nothing."""

    def tick(self, tick: Tick) -> None:
        """Nothing."""

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """Nothing."""

    def narrowed(self, narrowed: Narrowed) -> None:
        """Nothing."""


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
    listener = Quiet() if listener is None else listener
    with stopping() as stop:
        study = _find(job)
        jobs = job.jobs or setup.cores()
        if study is not None:
            until = job.trials or study.trials.count
            jobs = min(jobs, until)
            if _no_database_yet(job):
                _check_top(job, until, [], None)
        # Workers get ready while this process reads the data and opens the database.
        executor = setup.executor_for(job.engine, jobs)
        clean = False
        try:
            data = _Splits(job.data_dir)
            if study is not None:
                # Before the database is touched: a study file that cannot run leaves nothing behind.
                setup.network_objective(study, data.of(study), seed=0, space=study.parameters)
            if job.make_folder:
                _make_folder(Path(job.storage).parent)
            store = open_store(job.storage, create=study is not None, write=True)
            try:
                _run_stages(job, study or _kept(job, store), data, store, executor, stop, listener)
            finally:
                store.close()
            clean = True
        finally:
            executor.close(kill=not clean)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadStorage(f"cannot make the folder {folder} for the database: {error.strerror}") from error


class _Splits:
    """The data of study files, read once for all stages of a search."""

    def __init__(self, data_dir: Path | None) -> None:
        self._data_dir = data_dir
        self._last: tuple[Data, Split] | None = None

    def of(self, study: StudyFile) -> Split:
        if self._last is None or self._last[0] != study.data:
            self._last = study.data, setup.load_split(study, data_dir=self._data_dir)
        return self._last[1]


def _run_stages(
    job: Job,
    study: StudyFile,
    data: _Splits,
    store: Store,
    executor: Executor,
    stop: Stopping,
    listener: Listener,
) -> None:
    until = job.trials or study.trials.count
    _check_top(job, until, store.stages(study.name), store)
    stage = _begin(job, study, data.of(study), store, listener)
    while True:
        study = parse(stage.study_file, source=f"the study file kept in {stage.name}")
        split = data.of(study)
        objective = setup.network_objective(study, split, seed=stage.seed, space=stage.space)
        check_fingerprint(stage, split.fingerprint)
        top = store.columns(stage, top=1)
        best = (top["number"][0], top["score"][0]) if top["number"] else None
        listener.began(stage, until=until, jobs=executor.slots, best=best)
        summary = Runner(
            store,
            stage,
            objective,
            executor,
            until=until,
            lanes=job.lanes,
            on_tick=listener.tick,
            stopping=stop,
        ).run()
        listener.ended(stage, summary, store)
        if summary.stopped:
            raise _interrupted(stage, summary, until)
        if job.stages is None or stage.number >= job.stages:
            return
        stage = _next(job, store, stage, listener)


def _check(job: Job) -> None:
    setup.check_counts(trials=job.trials, stages=job.stages, jobs=job.jobs, lanes=job.lanes)
    if job.seed is not None and not 0 <= job.seed < 2**63:
        raise BadInput(f"--seed {job.seed}: give a whole number from 0")
    if job.stages is None and (job.top is not None or job.expand):
        said = "--expand" if job.expand else f"--top {job.top}"
        raise BadInput(f"{said} without --stages: one stage is run and none narrowed; add --stages N, or leave it out")
    if job.top is not None and job.top < 2:
        raise BadInput(f"--top {job.top}: narrowing needs the spread of at least 2 trials")


def _check_top(job: Job, until: int, stages: list[Stage], store: Store | None) -> None:
    # Before anything is trained, not after the first stage; only where there will be narrowing.
    latest = stages[-1].number if stages else 1
    finished = store.counts(stages[-1]).finished if stages and store is not None else 0
    if job.stages is not None and job.stages > latest and _top(job) > max(until, finished):
        raise BadInput(f"--top {_top(job)} of {until} trials a stage; give more --trials or a smaller --top")


def _top(job: Job) -> int:
    return _TOP if job.top is None else job.top


def _find(job: Job) -> StudyFile | None:
    """The study file, or None where there is none but the database may hold one under that name."""
    try:
        return find(job.study)
    except BadStudyFile:
        if job.study is None or job.study.endswith(".toml") or _no_database_yet(job):
            raise
        if os.path.exists(STUDIES_FOLDER / f"{job.study}.toml"):  # and cannot be used; going on would hide that
            raise
        return None


def _no_database_yet(job: Job) -> bool:
    file = sqlite_file(parse_url(job.storage))
    return file is not None and not os.path.exists(file)


def _kept(job: Job, store: Store) -> StudyFile:
    """The study file that the database keeps of a search: it goes on without the file."""
    kept = store.stages(job.study)
    if not kept:
        return find(job.study)  # which says what is wrong
    return parse(kept[0].study_file, source=f"the study file kept in {kept[0].name}")


def _begin(job: Job, study: StudyFile, split: Split, store: Store, listener: Listener) -> Stage:
    stage, new = begin(
        store,
        study,
        fingerprint=split.fingerprint,
        sizes={"train": len(split.x_train), "validation": len(split.x_validation)},
        number=job.stage,
        seed=job.seed,
    )
    if not new:
        changed = list(differences(stage.study_file, study.to_dict()))
        if changed:
            listener.note(
                f"the study file has changed since {stage.name} was begun ({'; '.join(changed)}); "
                "the stage goes on as it was begun. To search with the new file, give it another name"
            )
    return stage


def _next(job: Job, store: Store, stage: Stage, listener: Listener) -> Stage:
    stages = store.stages(stage.search)
    later = [other for other in stages if other.parent == stage.number]
    if later:  # narrowed already, by hand or by an earlier run
        return later[-1]
    narrowed = narrow_stage(store, stages, number=stage.number, top=_top(job), expand=job.expand)
    listener.narrowed(narrowed)
    assert narrowed.stage is not None
    return narrowed.stage


def _interrupted(stage: Stage, summary: Summary, until: int) -> Interrupted:
    return Interrupted(
        f"stopped: {stage.name} has {summary.counts.finished} of {until} trials, all recorded; "
        f"{summary.given_back} that had begun were given back. The same command goes on from here"
    )
