"""The store through Optuna's public API: for a schema revision that the bulk store does not know.

Every trial costs Optuna's own price here. What it writes is what the bulk store writes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import StageConflict
from hpsearch.records import ConfirmationPlan, NewStage, Outcome, Report, Stage, Trial
from hpsearch.space import to_distribution
from hpsearch.store import releases
from hpsearch.store.base import NOBODY, OWNER, RELEASED, Claimed
from hpsearch.store.claims import FIXED_PARAMS, roster_trial, trial_values
from hpsearch.store.exclusion import exclusive
from hpsearch.store.fallback_past import write_past
from hpsearch.store.fallback_reads import FallbackReads
from hpsearch.store.leases import GIVEN_BACK, Owner, Watch, utc_now
from hpsearch.store.locking import is_same, replaced
from hpsearch.store.stages import ROSTER, stage_attributes, taken
from hpsearch.store.writer import outcome_attributes, outcome_state, outcome_value

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from hpsearch.records import PastTrials
    from hpsearch.store.database import Database

_BEAT = "hpsearch:heartbeat"


class FallbackStore(FallbackReads):
    """`hpsearch.store.base.Store` through Optuna's ``ask``, storage setters and ``get_all_trials``.

    Optuna counts and numbers trials in separate transactions, so claims hold a lock that all runners share.

    Raises:
        RuntimeError: Optuna does not know the schema either.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._watches: dict[int, Watch] = {}

    def while_away(self, note: Callable[[str], object], *, stopping: Callable[[], bool]) -> None:
        """Say who hears of it when the server is away."""
        self.database.patience.tell(note, stopping)

    def create_stage(self, new: NewStage, *, replace: bool = False) -> Stage:
        """Make a stage, or return the one that is there."""
        name = new.name
        with self.database.timed(), exclusive(self.database):
            ids = {study.study_name: study._study_id for study in self.storage.get_all_studies()}
            if name in ids and replace:
                if self.storage.get_n_trials(ids[name]):
                    raise StageConflict(f"{name} has trials already")
                self.storage.delete_study(ids.pop(name))
            if name not in ids:
                direction = StudyDirection[new.direction.upper()]
                study_id = self.storage.create_new_study([direction], name)
                for key, value in stage_attributes(new).items():
                    self.storage.set_study_user_attr(study_id, key, value)
        for stage in self._all_stages():
            if stage.name == name:
                return stage
        raise StageConflict(
            f"the database has a study {name} that hpsearch did not make; rename the search or that study"
        )

    def change_study_attribute(self, stage: Stage, key: str, change: Callable[[Any | None], Any]) -> Any:
        """Read a user attribute of a stage's study and write another value."""
        with self.database.timed(), exclusive(self.database):
            before = self.study_attribute(stage, key)
            after = change(before)
            if after != before:
                self.storage.set_study_user_attr(stage.study_id, key, after)
        return after

    def import_stages(self, stages: Sequence[tuple[NewStage, PastTrials]]) -> list[Stage]:
        """Write stages that were run elsewhere; where that breaks, what was written is removed."""
        names = [new.name for new, _ in stages]
        with self.database.timed(), exclusive(self.database):
            for study in self.storage.get_all_studies():
                if study.study_name in names:
                    raise taken(study.study_name, self.where)
            write_past(self.storage, stages)
        return [stage for stage in self.stages() if stage.name in names]

    def claim(self, stage: Stage, *, until: int, most: int, owner: Owner) -> Claimed:
        """Take trials to evaluate."""
        distributions = {name: to_distribution(parameter) for name, parameter in stage.space.items()}
        claimed = []
        with self.database.timed(), exclusive(self.database):
            self._check_unchanged(stage)
            roster = (
                None if stage.plan is None else ConfirmationPlan.from_dict(self.study_attribute(stage, ROSTER) or {})
            )
            # Any sampler that looks at nothing: the values are written below, as Optuna's would be.
            sampler = optuna.samplers.RandomSampler()
            study = optuna.load_study(study_name=stage.name, storage=self.storage, sampler=sampler)
            counts = self.counts(stage)
            for _ in range(min(most, until - counts.finished - counts.running)):
                trial = study.ask()
                self.storage.set_trial_system_attr(trial._trial_id, OWNER, json.loads(owner.to_json()))
                self._beat(trial._trial_id)
                fixed = self.storage.get_trial(trial._trial_id).system_attrs.get(FIXED_PARAMS, {})
                if roster is None:
                    params = trial_values(stage, trial.number, fixed=fixed, stored=trial.params)
                    taken = Trial(trial._trial_id, trial.number, params)
                else:
                    taken = roster_trial(stage, roster, trial._trial_id, trial.number)
                for name, distribution in distributions.items():
                    if name not in trial.params:
                        internal = distribution.to_internal_repr(taken.params[name])
                        self.storage.set_trial_param(trial._trial_id, name, internal, distribution)
                claimed.append(taken)
            return Claimed(tuple(claimed), self.counts(stage))

    def _check_unchanged(self, stage: Stage) -> None:
        attributes = {study._study_id: study.user_attrs for study in self.storage.get_all_studies()}
        if not is_same(stage, attributes.get(stage.study_id, {})):
            raise replaced(stage)

    def _beat(self, trial_id: int) -> None:
        self.storage.set_trial_system_attr(trial_id, _BEAT, utc_now().isoformat())

    def _held(self, stage: Stage, owner: Owner) -> set[int]:
        return {trial._trial_id for trial, of_trial in self._running(stage) if of_trial == owner}

    def report(self, stage: Stage, reports: Sequence[Report], ids: Mapping[int, int], *, owner: Owner) -> None:
        """Write points of running trials' curves."""
        with self.database.timed(), exclusive(self.database):
            held = self._held(stage, owner)
            for report in reports:
                if ids[report.number] in held:
                    self.storage.set_trial_intermediate_value(ids[report.number], report.step, report.value)

    def record(self, stage: Stage, outcomes: Sequence[Outcome], ids: Mapping[int, int], *, owner: Owner) -> set[int]:
        """Finish trials that ``owner`` still holds."""
        recorded = set()
        with self.database.timed(), exclusive(self.database):
            held = self._held(stage, owner)
            for outcome in outcomes:
                trial_id = ids[outcome.number]
                if trial_id not in held:
                    continue
                for step, value in enumerate(outcome.intermediate, start=1):
                    self.storage.set_trial_intermediate_value(trial_id, step, value)
                for key, attribute in outcome_attributes(outcome).items():
                    self.storage.set_trial_user_attr(trial_id, key, attribute)
                score = outcome_value(outcome)
                values = None if score is None else [score]
                self.storage.set_trial_state_values(trial_id, TrialState[outcome_state(outcome).name], values)
                recorded.add(outcome.number)
        return recorded

    def _release(self, trial: FrozenTrial, *, by: Owner, why: str) -> None:
        trial_id, known = trial._trial_id, trial.system_attrs
        before = json.dumps(known[RELEASED]) if RELEASED in known else None
        kept = releases.record(json.dumps(known[OWNER]), before, by=by, why=why)
        self.storage.set_trial_system_attr(trial_id, RELEASED, json.loads(kept))
        self.storage.set_trial_state_values(trial_id, TrialState.WAITING)
        self.storage.set_trial_system_attr(trial_id, OWNER, json.loads(NOBODY))

    def release(self, stage: Stage, *, owner: Owner) -> int:
        """Give back every trial that ``owner`` holds."""
        with self.database.timed(), exclusive(self.database):
            held = [trial for trial, of_trial in self._running(stage) if of_trial == owner]
            for trial in held:
                self._release(trial, by=owner, why=GIVEN_BACK)
        return len(held)

    def release_dead(self, stage: Stage, *, me: Owner) -> int:
        """Give back the trials of runners that are gone."""
        now = utc_now()
        watch = self._watches.setdefault(stage.study_id, Watch())
        with self.database.timed(), exclusive(self.database):
            running = {trial._trial_id: (trial, owner) for trial, owner in self._running(stage)}
            beats = {id_: trial.system_attrs.get(_BEAT) for id_, (trial, _) in running.items()}
            owned = [
                (id_, owner, None if (beat := beats[id_]) is None else now.fromisoformat(beat))
                for id_, (_, owner) in running.items()
            ]
            gone = watch.gone(owned, me=me, now=now)
            for trial_id, why in gone.items():
                self._release(running[trial_id][0], by=me, why=why)
        return len(gone)

    def beat(self, stage: Stage, trial_ids: Collection[int], *, owner: Owner) -> None:
        """Renew the lease on running trials."""
        with self.database.timed(), exclusive(self.database):
            for trial_id in self._held(stage, owner) & set(trial_ids):
                self._beat(trial_id)
