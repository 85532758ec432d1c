"""Confirmation: a stage's best trials, trained again with other seeds.

A trial's seed decides the initial state, the order of examples and any noise; these are drawn anew. The split stays:
then all settings are compared on the same examples, and their means with the scores of the stage's trials. The interval
(`hpsearch.search.ranking`) says what other examples would give, and at last the test set does.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadArgument
from hpsearch.objectives import kinds
from hpsearch.records import Action, ConfirmationPlan, NewStage, Setting, Stage
from hpsearch.search.evaluation import evaluations
from hpsearch.search.narrowing import fewer, stage_to_narrow
from hpsearch.search.ranking import Confirmed, ranking
from hpsearch.search.runner import Runner, Summary, interrupted
from hpsearch.search.stage import (
    actions_for,
    best_of,
    check_fingerprint,
    kept_study,
    latest_with_trials,
    no_study_file,
    other_version,
    pick,
    stages_of,
    unscored,
    versions,
)
from hpsearch.seeds import draw_seed
from hpsearch.space import contains
from hpsearch.store import Store, open_store
from hpsearch.store.stages import ROSTER
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.executors.base import Executor
    from hpsearch.search.workflow import ConfirmJob, Listener, Stopping


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The result of a confirmation.

    Args:
        ranking: All its settings that have a score, best first: those of this job and those of before.
    """

    parent: Stage
    stage: Stage
    ranking: tuple[Confirmed, ...]
    summary: Summary
    following: tuple[Action, ...] = ()


def run_confirmation(job: ConfirmJob, executor: Executor, listener: Listener, stop: Stopping) -> Confirmation:
    """Bring a confirmation to the job's settings and repeats; see `hpsearch.search.workflow.confirm`."""
    with closing(open_store(job.storage, write=True)) as store:
        store.on_disconnect(listener.note, stopping=stop)
        stages = stages_of(store, job.search)
        parent = latest_with_trials(store, stages) if job.stage is None else pick(stages, job.stage)
        if not kinds.trainable(parent):
            raise no_study_file(parent)
        settings = best_settings(store, parent, job.top)
        study = kept_study(parent)
        data = study.load(data_dir=job.data_dir)
        check_fingerprint(parent, data.fingerprint)
        stage = planned(store, parent, settings, job.repeats)
        if (text := other_version(store, stage)) is not None:
            listener.note(text)
        objective = study.objective(data, seed=stage.seed, space=stage.space)
        assert stage.plan is not None
        # All that has begun, too: a run that was to have more may have left unfinished trials of this job.
        until = max(stage.plan.end([setting.trial for setting in settings], job.repeats), store.counts(stage).rows)
        listener.began(stage, until=until, jobs=executor.slots, best=None, finished=store.counts(stage).finished)
        # No pruning: a mean over the repeats that did well early would be no mean of the setting's.
        summary = Runner(
            store, stage, objective, executor, until=until, lanes=job.lanes, on_tick=listener.tick, stopping=stop
        ).run()
        if summary.stopped:
            raise interrupted(stage, summary, until)
        order = ranking(store, stage)
        return Confirmation(parent, stage, order, summary, _following(store, stages, parent, order))


def _following(
    store: Store, stages: Sequence[Stage], parent: Stage, order: tuple[Confirmed, ...]
) -> tuple[Action, ...]:
    """Return the steps after a confirmation; narrowing only by a choice among its settings."""
    action = actions_for(store, parent.search)
    steps = []
    if top := fewer(len(order)):
        default = stage_to_narrow(store, stages).number == parent.number
        branch = latest_with_trials(store, stages).number > parent.number
        stage = None if default else parent.number
        steps.append(action("narrow", source="confirm", top=top, stage=stage, branch=branch))
    if order and not evaluations(store, stages):
        best = best_of(store, stages)
        chosen = best is not None and best[0].number == parent.number
        steps.append(action("evaluate", **({} if chosen else {"stage": parent.number, "confirmed": True})))
    return tuple(steps) or (action("findings"),)


def best_settings(store: Store, stage: Stage, top: int) -> list[Setting]:
    """Return the values of a stage's best trials, best first.

    Trials that another program ran in the stage's study with values outside its ranges are passed over.
    """
    rows = top
    while True:
        columns = store.columns(stage, top=rows)
        trials = [
            Setting(number, {name: columns[f"param:{name}"][at] for name in stage.space}, columns["score"][at])
            for at, number in enumerate(columns["number"])
        ]
        settings = [one for one in trials if all(contains(stage.space[name], v) for name, v in one.params.items())]
        if len(settings) >= top:
            return settings[:top]
        if len(trials) < rows:
            if not settings:
                raise unscored(store, stage.search, stage.name)
            problem = f"{stage.name} has {counted(len(settings), 'trial')} with a score"
            raise BadArgument("top", top, problem, "use a smaller top or run more trials")
        rows *= 2


def planned(store: Store, parent: Stage, settings: Sequence[Setting], repeats: int) -> Stage:
    """Return the confirmation of a stage, made where there is none, with places for these repeats of these settings."""
    made = store.create_stage(
        NewStage(
            search=parent.search,
            number=parent.number,
            direction=parent.direction,
            seed=draw_seed(parent.seed, parent.number, "confirm"),
            space=parent.space,
            study_file=parent.study_file,
            parent=parent.number,
            fingerprint=parent.fingerprint,
            sizes=parent.sizes,
            versions=versions(),
            plan=ConfirmationPlan(),
        )
    )

    def grow(plain: Any) -> Any:
        return ConfirmationPlan.from_dict(plain or {}).grown(settings, repeats).to_dict()

    return replace(made, plan=ConfirmationPlan.from_dict(store.change_study_attribute(made, ROSTER, grow)))
