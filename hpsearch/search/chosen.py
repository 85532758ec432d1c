"""Which values a search comes to: the best trial's, or the first ones of its confirmation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hpsearch.errors import BadInput, NotEnoughTrials, UnknownSearch
from hpsearch.printable import counted
from hpsearch.search.stage import best_of, confirmation_of, pick
from hpsearch.search.tally import Overview, overview

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.records import Stage
    from hpsearch.space import Value
    from hpsearch.store import Store
    from hpsearch.store.frames import Columns


@dataclass(frozen=True, slots=True)
class Choice:
    """The values of one trial.

    Args:
        stage: The trial's stage.
        trial: Its number there.
        params: Its drawn values by name.
        by: What says so.
        score: Its validation score: the mean over the repeats where it is confirmed.
        repeats: Over how many trainings that is.
        why: The same in words.
    """

    stage: Stage
    trial: int
    params: Mapping[str, Value]
    by: Literal["confirmed", "best", "asked"]
    score: float
    repeats: int
    why: str


def choose(
    store: Store,
    stages: Sequence[Stage],
    *,
    number: int | None = None,
    trial: int | None = None,
    by: str | None = None,
) -> Choice:
    """The values that a search comes to.

    Where nothing else is said: if the stage of the best trial has been confirmed, the values that the confirmation
    puts first, whose mean owes less to luck than one trial's score; otherwise the best trial's. A confirmation of
    another stage says nothing of a better trial that it did not train.

    Args:
        store: The study database.
        stages: The search's stages.
        number: Only of this stage; None for all.
        trial: This trial of that stage.
        by: ``confirmed`` or ``best``, to choose by that alone.

    Raises:
        BadInput: What was asked does not go together, there is no such trial, or the confirmation is not complete.
        NotEnoughTrials: No trial has a score.
        UnknownSearch: No such stage, or none of them is confirmed.
    """
    among = list(stages) if number is None else [pick(list(stages), number)]
    if trial is not None:
        if number is None:
            raise BadInput(f"--trial {trial} without --stage: every stage has its own numbers; add --stage N")
        return _asked(store, among[0], trial)
    if by == "confirmed":
        return _confirmed(store, among)
    found = best_of(store, among)
    if found is None:
        what = among[0].name if number is not None else among[0].search
        raise NotEnoughTrials(f"{what} has no trial with a score yet; run `hpsearch start` first")
    stage, columns = found
    try:
        confirmation = confirmation_of(store, stage) if by is None else None
    except UnknownSearch:
        confirmation = None
    if confirmation is not None:
        return _first_of(stage, overview(store, confirmation))
    which = "its stage" if number is not None else "all stages"
    hint = "" if by == "best" else f"; {stage.name} has not been confirmed"
    return _of_row(stage, columns, 0, "best", f"the best trial of {which}{hint}")


def _asked(store: Store, stage: Stage, trial: int) -> Choice:
    columns = store.columns(stage, states=("COMPLETE",))
    if trial not in columns["number"]:
        raise BadInput(f"{stage.name} has no trial {trial} with a score; `hpsearch trials --stage {stage.number}`")
    return _of_row(stage, columns, columns["number"].index(trial), "asked", "as asked")


def _of_row(stage: Stage, columns: Columns, at: int, by: Literal["best", "asked"], why: str) -> Choice:
    params = {name: columns[f"param:{name}"][at] for name in stage.space}
    if None in params.values():
        lacking = next(name for name, value in params.items() if value is None)
        raise BadInput(f"{stage.name} trial {columns['number'][at]} has no value of {lacking}; choose another one")
    return Choice(stage, columns["number"][at], params, by, columns["score"][at], 1, why)


def _confirmed(store: Store, among: Sequence[Stage]) -> Choice:
    stage_of = {(stage.search, stage.number): stage for stage in among}
    there = [one for one in store.confirmations(among[0].search) if (one.search, one.number) in stage_of]
    if not there:
        confirmation_of(store, among[-1])  # which says how
    choices = [_first_of(stage_of[one.search, one.number], overview(store, one)) for one in there]
    sign = -1.0 if among[0].direction == "maximize" else 1.0
    return min(choices, key=lambda choice: sign * choice.score)


def _first_of(stage: Stage, seen: Overview) -> Choice:
    name = seen.confirmation.name
    if seen.finished >= seen.places and not seen.order:
        raise BadInput(f"every repeat of {name} failed, so it chooses nothing; choose with --best")
    if not seen.complete:
        raise BadInput(
            f"{name} is not complete: {seen.finished} of {counted(seen.places, 'trial')} have finished; run "
            f"`hpsearch confirm --stage {stage.number}` to its end as it was begun, or choose with --best"
        )
    first = seen.order[0]
    return Choice(
        stage,
        first.setting.trial,
        first.setting.params,
        "confirmed",
        first.mean,
        len(first.scores),
        f"the first of {name}, which trained {counted(len(seen.order), 'setting')} again",
    )
