"""The staged workflow, unattended: run a stage, narrow, run the next."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadStorage
from hpsearch.objectives import kinds
from hpsearch.search.narrowing import DEFAULT_TOP, check_top, narrow_stage
from hpsearch.search.pruning import epochs_spent, plan_of, unused_words
from hpsearch.search.runner import Runner, interrupted
from hpsearch.search.stage import adopt, begin, check_fingerprint, kept_study, no_study_file, other_version
from hpsearch.store import Counts, Store, open_store
from hpsearch.store.engine import no_database_yet
from hpsearch.study_file import StudyFile, differences, find

if TYPE_CHECKING:
    from hpsearch.executors.base import Executor
    from hpsearch.objectives.base import Data, Estimate
    from hpsearch.records import Stage
    from hpsearch.search.runner import Summary
    from hpsearch.search.workflow import Job, Listener, Stopping


def run_stages(
    job: Job, study: StudyFile | None, executor: Executor, listener: Listener, stop: Stopping
) -> list[tuple[Stage, Summary]]:
    """Run a stage, or a whole search of several, and return the stages; see `hpsearch.search.workflow.run`."""
    data = _Loaded(job.data_dir)
    new = no_database_yet(job.storage)
    if study is None and new:
        study = find(job.study)  # raises
    if study is not None:
        # Before the database is touched: a study that cannot run leaves nothing behind.
        if new:
            _check_top(job, study, job.trials or study.trials.count, [], None)
        data.of(study)
        study.check_names()
    if job.make_folder:
        make_folder(Path(job.storage).parent)
    with closing(open_store(job.storage, create=study is not None, write=True)) as store:
        store.on_disconnect(listener.note, stopping=stop)
        study = study or _kept(job, store)
        until = job.trials or study.trials.count
        _check_top(job, study, until, store.stages(study.name), store)
        stage = _begin(job, study, data.of(study), store, listener)
        runs = []
        while True:
            runs.append((stage, _run_stage(job, stage, data, until, store, executor, listener, stop)))
            if job.stages is None or stage.number >= job.stages:
                return runs
            stage = _next(job, store, stage, listener)


def _run_stage(
    job: Job,
    stage: Stage,
    data: _Loaded,
    until: int,
    store: Store,
    executor: Executor,
    listener: Listener,
    stop: Stopping,
) -> Summary:
    study = kept_study(stage)
    loaded = data.of(study)
    objective = study.objective(loaded, seed=stage.seed, space=stage.space)
    check_fingerprint(stage, loaded.fingerprint)
    top = store.columns(stage, top=1)
    best = (top["number"][0], top["score"][0]) if top["number"] else None
    listener.began(stage, until=until, jobs=executor.slots, best=best, finished=store.counts(stage).finished)
    runner = Runner(
        store,
        stage,
        objective,
        executor,
        until=until,
        lanes=job.lanes,
        plan=plan_of(study),
        on_tick=listener.tick,
        stopping=stop,
    )
    summary = runner.run()
    listener.ended(stage, summary, store)
    if summary.stopped:
        raise interrupted(stage, summary, until)
    return summary


def make_folder(folder: Path) -> None:
    """Make the folder of a database."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadStorage(f"cannot make the folder {folder} for the database: {error.strerror}") from error


class _Loaded:
    """The data of study files, loaded once for all stages of a search."""

    def __init__(self, data_dir: Path | None) -> None:
        self._data_dir = data_dir
        self._last: tuple[Any, Data] | None = None

    def of(self, study: StudyFile) -> Data:
        if self._last is None or self._last[0] != study.sections:
            self._last = study.sections, study.load(data_dir=self._data_dir)
        return self._last[1]


def _check_top(job: Job, study: StudyFile, until: int, stages: list[Stage], store: Store | None) -> None:
    # Before anything is trained, not after the first stage; only where there will be narrowing.
    latest = stages[-1].number if stages else 1
    if job.stages is None or job.stages <= latest:
        return
    counts = store.counts(stages[-1]) if stages and store is not None else Counts()
    # A stage that has begun goes by the study file that it keeps.
    if stages and kinds.trainable(stages[-1]):
        study = kept_study(stages[-1])
    plan = plan_of(study.with_pruning(job.pruner) if job.pruner else study)
    check_top(job.top or DEFAULT_TOP, until, plan, counts)


def _kept(job: Job, store: Store) -> StudyFile:
    """Return the study file that the database keeps of a search: it goes on without the file."""
    stages = store.stages(job.study)
    if not stages:
        return find(job.study)  # raises
    # The first stage may have been run elsewhere, by no study file, and a later one here.
    first = next((stage for stage in stages if kinds.trainable(stage)), None)
    if first is None:
        raise no_study_file(stages[0])
    return kept_study(first)


def _begin(job: Job, study: StudyFile, data: Data, store: Store, listener: Listener) -> Stage:
    stage, new = begin(store, study, data, number=job.stage, seed=job.seed, pruner=job.pruner)
    if not kinds.trainable(stage):
        return adopt(store, stage, study, data, pruner=job.pruner)
    notes: list[str | None]
    if new:
        notes = [unused_words(study if job.pruner is None else study.with_pruning(job.pruner))]
    else:
        notes = [other_version(store, stage)]
        rule, changed = stage.pruning_rule, "; ".join(differences(stage.study_file, study.to_dict()))
        if job.pruner is None and rule != study.pruning.rule:
            here = f"the study file says {study.pruning.rule}"
            notes.append(f"{stage.name} goes on with pruning by {rule}, as it was begun; {here}")
        if changed:
            notes.append(
                f"the study file has changed since {stage.name} was begun ({changed}); the stage goes on as it was "
                "begun. To search with the new file, give it another name"
            )
    for note in filter(None, notes):
        listener.note(note)
    return stage


def _next(job: Job, store: Store, stage: Stage, listener: Listener) -> Stage:
    stages = store.stages(stage.search)
    later = [other for other in stages if other.parent == stage.number]
    if later:  # narrowed already, by hand or by an earlier run
        return later[-1]
    narrowed = narrow_stage(store, stages, number=stage.number, top=job.top or DEFAULT_TOP, expand=job.expand)
    listener.narrowed(narrowed)
    assert narrowed.stage is not None
    return narrowed.stage


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """The cost of one stage of a study file."""

    trial: Estimate
    seconds: float


def estimate(study: StudyFile, data: Data, *, trials: int, jobs: int) -> StageEstimate:
    """Estimate the cost of a stage by timing one batch of its most expensive trials for a few epochs."""
    rounds = math.ceil(trials / jobs)
    trial = study.kind.runtime().estimate(study.sections, data, seed=study.trials.seed, space=study.space, lanes=rounds)
    plan = plan_of(study)
    share = 1.0 if plan is None else epochs_spent(plan, trials) / (trials * plan.epochs)
    return StageEstimate(trial, trial.seconds_per_trial * rounds * share)
