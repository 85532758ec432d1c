"""A stage's best trials, trained again: the confirmation in the database, its run, and what it says.

What is drawn anew is what a trial's seed decides: initial weights, the order of samples, dropout masks. The split
stays: then all settings are compared on the same images, and their means with the scores of the stage's trials. What
other images would say is the business of the interval (`hpsearch.search.ranking`), and at last of the
test images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hpsearch.errors import Interrupted, NotEnoughTrials
from hpsearch.records import ConfirmationPlan, NewStage, Setting, Stage
from hpsearch.search.evaluation import looks
from hpsearch.search.narrowing import fewer, to_narrow
from hpsearch.search.ranking import Confirmed, ranking
from hpsearch.search.runner import Runner, Summary
from hpsearch.search.stage import (
    best_of,
    check_fingerprint,
    commands_for,
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
from hpsearch.study_file import parse
from hpsearch.text import counted

if TYPE_CHECKING:
    from hpsearch.executors.base import Executor
    from hpsearch.search.workflow import ConfirmJob, Stopping, Watcher


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What `hpsearch confirm` came to.

    Args:
        parent: The stage whose trials were confirmed.
        stage: The confirmation.
        ranking: All its settings that have a score, best first: those asked for now and those of before.
        summary: What the run did.
        following: Commands to type next.
    """

    parent: Stage
    stage: Stage
    ranking: tuple[Confirmed, ...]
    summary: Summary
    following: tuple[str, ...] = ()


def run_confirmation(job: ConfirmJob, executor: Executor, watcher: Watcher, stop: Stopping) -> Confirmation:
    """Bring a confirmation to the settings and repeats asked for; see `hpsearch.search.workflow.confirm`."""
    store = open_store(job.storage, write=True)
    store.on_disconnect(watcher.note, stopping=stop)
    try:
        stages = stages_of(store, job.search)
        parent = latest_with_trials(store, stages) if job.stage is None else pick(stages, job.stage)
        if not parent.trainable:
            raise no_study_file(parent)
        settings = best_settings(store, parent, job.top)
        study = parse(parent.study_file, source=f"the study file kept in {parent.name}")
        split = study.load(data_dir=job.data_dir)
        check_fingerprint(parent, split.fingerprint)
        stage = grown(store, parent, settings, job.repeats)
        if (text := other_version(store, stage)) is not None:
            watcher.note(text)
        objective = study.objective(split, seed=stage.seed, space=stage.space)
        assert stage.plan is not None
        # All that has begun, too: a run that was to have more may have left unfinished what is asked for now.
        until = max(stage.plan.end([one.trial for one in settings], job.repeats), store.counts(stage).rows)
        watcher.began(stage, until=until, jobs=executor.slots, best=None, finished=store.counts(stage).finished)
        # No pruning: a mean over the repeats that did well early would be no mean of the setting's.
        summary = Runner(
            store, stage, objective, executor, until=until, lanes=job.lanes, on_tick=watcher.tick, stopping=stop
        ).run()
        if summary.stopped:
            raise Interrupted(
                f"stopped: {stage.name} has {summary.counts.finished} of {counted(until, 'trial')}, all recorded; "
                f"{summary.given_back} that had begun were given back. The same command goes on from here"
            )
        order = ranking(store, stage)
        return Confirmation(parent, stage, order, summary, _following(store, stages, parent, order))
    finally:
        store.close()


def _following(store: Store, stages: list[Stage], parent: Stage, order: tuple[Confirmed, ...]) -> tuple[str, ...]:
    """The commands to type after a confirmation; narrowing only by a choice among its settings."""
    commands = commands_for(store, parent.search)
    found = []
    if top := fewer(len(order)):
        meant = to_narrow(store, stages).number == parent.number
        branch = ["--branch"] if latest_with_trials(store, stages).number > parent.number else []
        which = [] if meant else ["--stage", str(parent.number)]
        found.append(commands("narrow", "--from", "confirm", "--top", str(top), *which, *branch))
    best = best_of(store, stages)
    chosen = best is not None and best[0].number == parent.number
    if order and not looks(store, stages):
        found.append(commands("evaluate", *([] if chosen else ["--stage", str(parent.number), "--confirmed"])))
    return tuple(found) or (commands("findings"),)


def best_settings(store: Store, stage: Stage, top: int) -> list[Setting]:
    """The values of a stage's best trials, best first.

    Trials that somebody ran in the stage's study with values outside its ranges are passed over.

    Raises:
        NotEnoughTrials: The stage has fewer.
    """
    asked = top
    while True:
        columns = store.columns(stage, top=asked)
        trials = [
            Setting(number, {name: columns[f"param:{name}"][at] for name in stage.space}, columns["score"][at])
            for at, number in enumerate(columns["number"])
        ]
        found = [one for one in trials if all(contains(stage.space[name], v) for name, v in one.params.items())]
        if len(found) >= top:
            return found[:top]
        if len(trials) < asked:
            if not found:
                raise unscored(store, stage.search, stage.name)
            many = f"{counted(len(found), 'trial')} with a score"
            raise NotEnoughTrials(
                f"{stage.name} has {many}, and --top {top} asks for more; give a smaller --top or more trials"
            )
        asked *= 2


def grown(store: Store, parent: Stage, settings: list[Setting], repeats: int) -> Stage:
    """The confirmation of a stage, made where there is none, with places for these repeats of these settings."""
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
