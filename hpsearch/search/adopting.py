"""Imported stages that have no study file: when they can be trained here, and when not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch.errors import BadStudyFile, StageConflict
from hpsearch.search.stage import versions
from hpsearch.space import space_to_dict
from hpsearch.study_file import StudyFile, parse

if TYPE_CHECKING:
    from hpsearch.data import Split
    from hpsearch.records import Stage
    from hpsearch.store import Store


def no_study_file(stage: Stage) -> StageConflict:
    """What to say when a search that was run elsewhere is to be trained by no study file."""
    return StageConflict(
        f"{stage.search} was imported from {_origin(stage)} without a study file, so hpsearch cannot train its trials; "
        "narrow, status, trials and best work. To go on here, narrow it, write a study file of that name "
        f"(`hpsearch init {stage.search}`) that searches {', '.join(stage.space)}, and start that"
    )


def adopt(store: Store, stage: Stage, study: StudyFile, split: Split, *, pruner: str | None) -> Stage:
    """The stage to be trained by a study file: itself where it has one, or the same ranges with this one.

    Trials of others are never mixed with trials of ours: they saw other data. So only a stage without trials, which was
    narrowed from theirs, takes on a study file.

    Args:
        store: The study database.
        stage: The stage to be run.
        study: The study file of the search's name.
        split: Its data.
        pruner: The rule of pruning asked for on the command line, or None for the study file's.

    Raises:
        StageConflict: The stage has trials of others, or the study file searches something else.
    """
    if stage.trainable:
        return stage
    if store.counts(stage).rows:
        raise StageConflict(
            f"the trials of {stage.name} were run elsewhere ({_origin(stage)}), so none can be added to them here; "
            f"`hpsearch narrow {stage.search}` makes the next stage, which can be started"
        )
    if set(study.parameters) != set(stage.space):
        raise StageConflict(
            f"{stage.name} searches {', '.join(stage.space)}, and the study file {', '.join(study.parameters)}; they "
            "must be the same hyperparameters"
        )
    if study.objective.direction != stage.direction:
        raise StageConflict(
            f"{stage.name} is to {stage.direction} its score, and the study file is to {study.objective.direction} "
            f"{study.objective.metric}"
        )
    try:
        chosen = study if pruner is None else study.with_pruning(pruner)
        ranged = parse(chosen.to_dict() | {"space": space_to_dict(stage.space)}, source=f"the ranges of {stage.name}")
    except BadStudyFile as error:
        raise StageConflict(f"{stage.name} cannot be trained here: {error}") from error
    adopted = replace(
        stage,
        study_file=ranged.to_dict(),
        fingerprint=split.fingerprint,
        sizes={"train": len(split.x_train), "validation": len(split.x_validation)},
        versions=versions(),
    )
    return store.create_stage(adopted, replace=True)


def _origin(stage: Stage) -> str:
    return str(stage.imported.get("from", "elsewhere"))
