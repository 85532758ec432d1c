"""Stages that were run elsewhere, written through Optuna's storage: for `hpsearch.store.fallback`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsearch.space import to_distribution
from hpsearch.store.stages import stage_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from optuna.storages import BaseStorage

    from hpsearch.records import NewStage, PastTrials


def write_past(storage: BaseStorage, stages: Sequence[tuple[NewStage, PastTrials]]) -> None:
    """Write stages and their trials.

    Optuna's storage has a transaction for each of them: where one breaks, the studies that were begun are deleted.
    Only a process that is killed in between leaves one behind, and it is no stage before its last trial is there.
    """
    made = []
    try:
        for new, past in stages:
            study_id = storage.create_new_study([StudyDirection[new.direction.upper()]], new.name)
            made.append(study_id)
            for trial in _frozen(new, past):
                storage.create_new_trial(study_id, template_trial=trial)
        for study_id, (new, _) in zip(made, stages, strict=True):
            for key, value in stage_attributes(new).items():
                storage.set_study_user_attr(study_id, key, value)
    except BaseException:
        for study_id in made:
            storage.delete_study(study_id)
        raise


def _frozen(new: NewStage, past: PastTrials) -> Iterator[FrozenTrial]:
    distributions = {name: to_distribution(new.space[name]) for name in past.params}
    attributes: list[dict[str, Any]] = [{} for _ in past.states]
    for number, key, kept in past.attributes:
        attributes[number][key] = kept
    curves: list[dict[int, float]] = [{} for _ in past.states]
    for number, step, value in zip(*(column.tolist() for column in past.points), strict=True):
        curves[number][step] = value
    for number, state in enumerate(past.states):
        params = {name: values[number] for name, values in past.params.items() if values[number] is not None}
        score = past.scores[number]
        assert score is None or not math.isnan(score)
        yield FrozenTrial(
            number=number,
            trial_id=-1,
            state=TrialState[state],
            value=score,
            datetime_start=past.started[number],
            datetime_complete=past.finished[number],
            params=params,
            distributions={name: distributions[name] for name in params},
            user_attrs=attributes[number],
            system_attrs={},
            intermediate_values=curves[number],
        )
