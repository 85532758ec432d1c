"""The baseline: the trial whose values are in use, with which searches of the same data and metric are compared.

It is an attribute of its stage's study, so that it goes where the trials go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpsearch.errors import UnknownSearch
from hpsearch.objectives import kinds
from hpsearch.records import Action
from hpsearch.search.best import choose_trial
from hpsearch.store.schema import BASELINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.records import Stage
    from hpsearch.store import Store


@dataclass(frozen=True, slots=True)
class Baseline:
    """A trial whose values are in use."""

    stage: Stage = field(repr=False)
    trial: int
    score: float

    @property
    def name(self) -> str:
        """Its name: ``mnist/stage-03/12``."""
        return f"{self.stage.name}/{self.trial}"


def baseline_of(store: Store, stages: Sequence[Stage]) -> Baseline | None:
    """Return the baseline for a search with these stages; None where there is none."""
    for stage, trial in _stored(store, stages[0]):
        for score in store.columns(stage, states=("COMPLETE",), numbers=(trial,))["score"]:
            return Baseline(stage, trial, score)
    return None


def set_baseline(store: Store, stages: Sequence[Stage], number: int, trial: int) -> Baseline:
    """Make a trial the baseline for its data and metric, in place of an earlier one. BadInput if it has no score."""
    choice = choose_trial(store, stages, number=number, trial=trial)
    for other, _ in _stored(store, choice.stage):
        store.change_study_attribute(other, BASELINE, lambda before: None)
    store.change_study_attribute(choice.stage, BASELINE, lambda before: {"trial": trial})
    return Baseline(choice.stage, trial, choice.score)


def known_baseline(store: Store, stages: Sequence[Stage]) -> Baseline:
    """Return the baseline for a search with these stages. UnknownSearch if there is none."""
    baseline = baseline_of(store, stages)
    if baseline is None:
        names_one = Action("baseline set", {"search": "SEARCH/STAGE/TRIAL", "storage": store.where})
        raise UnknownSearch(f"no baseline for the data and metric of {stages[0].search}; `{{}}` names one", names_one)
    return baseline


def _stored(store: Store, of: Stage) -> list[tuple[Stage, int]]:
    """Return the trials that are stored as baselines for the data and metric of a stage, with their stages."""
    stages = [stage for stage in store.stages() if _same_task(stage, of)]
    stored = [(stage, store.study_attribute(stage, BASELINE)) for stage in stages]
    return [(stage, attribute["trial"]) for stage, attribute in stored if attribute is not None]


def _same_task(stage: Stage, other: Stage) -> bool:
    """Return whether stages have the same metric and data; where no data are known, the same objective."""
    if (stage.metric, stage.direction, stage.fingerprint) != (other.metric, other.direction, other.fingerprint):
        return False
    objectives = (stage.study_file.get("objective"), other.study_file.get("objective"))
    same = objectives[0] == objectives[1] and not kinds.foreign(stage)
    return bool(stage.fingerprint) or stage.search == other.search or same
