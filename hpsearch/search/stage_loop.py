"""The staged workflow, unattended: run a stage, narrow, run the next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadStorage, Interrupted
from hpsearch.search.narrowing import DEFAULT_TOP, check_top, narrow_stage
from hpsearch.search.pruning import epochs_spent, plan_of, unused_words
from hpsearch.search.runner import Runner, Summary
from hpsearch.search.stage import adopt, begin, check_fingerprint, no_study_file, other_version
from hpsearch.store import Counts, Store, open_store
from hpsearch.store.engine import no_database_yet
from hpsearch.study_file import StudyFile, differences, find, parse
from hpsearch.text import counted

if TYPE_CHECKING:
    from hpsearch.executors.base import Executor
    from hpsearch.objectives.base import Data, Estimate
    from hpsearch.records import Stage
    from hpsearch.search.workflow import Job, Listener, Stopping
    from hpsearch.study_file import StudyFile


def run_stages(job: Job, study: StudyFile | None, executor: Executor, listener: Listener, stop: Stopping) -> None:
    """Run a stage, or a whole search of several; see `hpsearch.search.workflow.run`.

    Args:
        job: What to do.
        study: The study file; None where the database is to hold it.
        executor: Where batches are evaluated.
        listener: Told what happens.
        stop: Asked often; True ends the run after what is finished has been recorded.
    """
    data = _Splits(job.data_dir)
    if study is not None:
        # Before the database is touched: what cannot run leaves nothing behind.
        if no_database_yet(job.storage):
            _check_top(job, study, job.trials or study.trials.count, [], None)
        data.of(study)
        study.check_names()
    if job.make_folder:
        make_folder(Path(job.storage).parent)
    store = open_store(job.storage, create=study is not None, write=True)
    store.on_disconnect(listener.note, stopping=stop)
    try:
        _run(job, study or _kept(job, store), data, store, executor, stop, listener)
    finally:
        store.close()


def make_folder(folder: Path) -> None:
    """Make the folder of a database.

    Raises:
        BadStorage: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadStorage(f"cannot make the folder {folder} for the database: {error.strerror}") from error


class _Splits:
    """The data of study files, read once for all stages of a search."""

    def __init__(self, data_dir: Path | None) -> None:
        self._data_dir = data_dir
        self._last: tuple[Any, Data] | None = None

    def of(self, study: StudyFile) -> Data:
        if self._last is None or self._last[0] != study.sections:
            self._last = study.sections, study.load(data_dir=self._data_dir)
        return self._last[1]


def _run(
    job: Job,
    study: StudyFile,
    data: _Splits,
    store: Store,
    executor: Executor,
    stop: Stopping,
    listener: Listener,
) -> None:
    until = job.trials or study.trials.count
    _check_top(job, study, until, store.stages(study.name), store)
    stage = _begin(job, study, data.of(study), store, listener)
    while True:
        study = parse(stage.study_file, source=f"the study file kept in {stage.name}")
        split = data.of(study)
        objective = study.objective(split, seed=stage.seed, space=stage.space)
        check_fingerprint(stage, split.fingerprint)
        top = store.columns(stage, top=1)
        best = (top["number"][0], top["score"][0]) if top["number"] else None
        finished = store.counts(stage).finished
        listener.began(stage, until=until, jobs=executor.slots, best=best, finished=finished)
        summary = Runner(
            store,
            stage,
            objective,
            executor,
            until=until,
            lanes=job.lanes,
            plan=plan_of(study),
            on_tick=listener.tick,
            stopping=stop,
        ).run()
        listener.ended(stage, summary, store)
        if summary.stopped:
            raise _interrupted(stage, summary, until)
        if job.stages is None or stage.number >= job.stages:
            return
        stage = _next(job, store, stage, listener)


def _check_top(job: Job, study: StudyFile, until: int, stages: list[Stage], store: Store | None) -> None:
    # Before anything is trained, not after the first stage; only where there will be narrowing.
    latest = stages[-1].number if stages else 1
    if job.stages is None or job.stages <= latest:
        return
    counts = store.counts(stages[-1]) if stages and store is not None else Counts()
    # A stage that has begun goes by the study file that it keeps.
    begun = stages and stages[-1].trainable
    ruling = parse(stages[-1].study_file, source=f"the study file kept in {stages[-1].name}") if begun else study
    check_top(_top(job), until, plan_of(ruling.with_pruning(job.pruner) if job.pruner else ruling), counts)


def _top(job: Job) -> int:
    return DEFAULT_TOP if job.top is None else job.top


def _kept(job: Job, store: Store) -> StudyFile:
    """The study file that the database keeps of a search: it goes on without the file."""
    kept = store.stages(job.study)
    if not kept:
        return find(job.study)  # which says what is wrong
    # The first stage may have been run elsewhere, by no study file, and a later one here.
    first = next((stage for stage in kept if stage.trainable), None)
    if first is None:
        raise no_study_file(kept[0])
    return parse(first.study_file, source=f"the study file kept in {first.name}")


def _begin(job: Job, study: StudyFile, split: Data, store: Store, listener: Listener) -> Stage:
    stage, new = begin(
        store,
        study,
        fingerprint=split.fingerprint,
        sizes=split.sizes,
        number=job.stage,
        seed=job.seed,
        pruner=job.pruner,
    )
    if not stage.trainable:
        return adopt(store, stage, study, split, pruner=job.pruner)
    if new:
        unused = unused_words(study if job.pruner is None else study.with_pruning(job.pruner))
        if unused is not None:
            listener.note(unused)
    else:
        if (text := other_version(store, stage)) is not None:
            listener.note(text)
        if job.pruner is None and stage.pruning_rule != study.pruning.rule:
            listener.note(
                f"{stage.name} goes on with pruning by {stage.pruning_rule}, as it was begun; the study file says "
                f"{study.pruning.rule}"
            )
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
        f"stopped: {stage.name} has {summary.counts.finished} of {counted(until, 'trial')}, all recorded; "
        f"{summary.given_back} that had begun were given back. The same command goes on from here"
    )


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """The cost of one stage of a study file.

    Args:
        trial: Of its most expensive trial.
        seconds: Of the whole stage, with all jobs.
    """

    trial: Estimate
    seconds: float


def estimate(study: StudyFile, data: Data, *, trials: int, jobs: int) -> StageEstimate:
    """Time one batch of a stage's most expensive trials for a few epochs.

    Args:
        study: The study file.
        data: Its data.
        trials: Trials of the stage.
        jobs: Processes.
    """
    trial = study.kind.runtime().estimate(
        study.sections, data, seed=study.trials.seed, space=study.space, lanes=math.ceil(trials / jobs)
    )
    plan = plan_of(study)
    share = 1.0 if plan is None else epochs_spent(plan, trials) / (trials * plan.epochs)
    return StageEstimate(trial, trial.seconds_per_trial * math.ceil(trials / jobs) * share)
