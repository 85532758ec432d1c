"""From a study file to what runs it: the data, the objective, the executor.

The executor comes first and NumPy, which the others need, is loaded while its workers start.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, get_args

from hpsearch import executors
from hpsearch.errors import BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.data import Dataset, Split
    from hpsearch.data.splits import Floats, Labels
    from hpsearch.executors import Executor
    from hpsearch.objectives.network.objective import NetworkObjective
    from hpsearch.search.jobs import ConfirmJob, Job
    from hpsearch.space import Space
    from hpsearch.study_file import StudyFile


class _Parts(TypedDict):
    """How a study file cuts its data set; what `hpsearch.data.split` takes."""

    train: int | float
    validation: int | float
    test: int | float | None
    seed: int
    stratify: bool


ENGINES = ("dask", "inline", "pool")
SCHEDULER_VARIABLE = "HPSEARCH_SCHEDULER"
_PRELOAD = "hpsearch.objectives.network.objective"
_MOST = {"jobs": 1024, "stages": 1000}


def load_split(study: StudyFile, *, data_dir: Path | None = None) -> Split:
    """The training and validation data of a study file.

    Raises:
        BadData: The data set is unknown, damaged or too small.
    """
    from hpsearch import data

    return data.split(_dataset(study, data_dir), **_parts(study))


def load_test(study: StudyFile, *, data_dir: Path | None = None) -> tuple[Floats, Labels]:
    """The test data of a study file. `hpsearch.search.evaluation` alone may call this.

    Returns:
        Features (T, D) and classes (T,).

    Raises:
        BadData: The data set is unknown, damaged or too small.
    """
    from hpsearch.data import splits

    return splits.test_part(_dataset(study, data_dir), **_parts(study))


def _dataset(study: StudyFile, data_dir: Path | None) -> Dataset:
    from hpsearch import data

    section = study.data
    path = None if section.path is None else Path(section.path)
    return data.load(section.name, path=path, label=section.label, data_dir=data_dir)


def _parts(study: StudyFile) -> _Parts:
    section = study.data
    return {
        "train": section.train,
        "validation": section.validation,
        "test": section.test,
        "seed": section.seed,
        "stratify": section.stratify,
    }


def network_objective(study: StudyFile, split: Split, *, seed: int, space: Space) -> NetworkObjective:
    """The objective of a study file.

    Args:
        study: The study file.
        split: Its data.
        seed: The stage's seed.
        space: The stage's ranges.

    Raises:
        BadInput: An activation, initialiser or optimizer that is not known.
    """
    from hpsearch.nn import TrainingData, live_inputs
    from hpsearch.objectives.network.objective import NetworkObjective, Score

    training, inputs = live_inputs(TrainingData(split.x_train, split.y_train, split.x_validation, split.y_validation))
    return NetworkObjective(
        data=training,
        inputs=inputs,
        classes=split.classes,
        seed=seed,
        # What is drawn must not stand beside a fixed value of another form (hidden beside hidden_units).
        settings={name: value for name, value in study.settings.items() if name not in space},
        space=space,
        score=Score(study.objective.metric, study.objective.at),
    )


def check_names(study: StudyFile) -> None:
    """Check that a study file's activations, initialisers, optimizers and schedules exist, without their network.

    Raises:
        BadInput: One that is not known.
    """
    from hpsearch.objectives.network.build import check_names as check

    check(study.settings, study.parameters)


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
    from hpsearch.study_sections import Pruning

    rules = get_args(Pruning.model_fields["rule"].annotation)
    if rule not in rules:
        raise BadInput(f"--pruner {rule}: no such rule{nearest(rule, rules)}")


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
        return executors.InlineExecutor()
    if job.engine == "dask":
        return executors.DaskExecutor(scheduler_of(job), jobs=jobs, preload=_PRELOAD, note=note)
    return executors.PoolExecutor(jobs, preload=_PRELOAD)
