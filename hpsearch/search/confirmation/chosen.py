"""Which values a search comes to: the best trial's, or the first ones of its confirmation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hpsearch.errors import BadInput, UnknownSearch
from hpsearch.search.confirmation.tally import Overview, in_order, overview
from hpsearch.search.stage import best_of, commands_for, confirmation_of, pick, unscored
from hpsearch.text import counted

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
    asked = check_asked(store, stages, number=number, trial=trial)
    if asked is not None:
        return asked
    among = list(stages) if number is None else [pick(list(stages), number)]
    if by == "confirmed":
        return _confirmed(store, among)
    found = best_of(store, among)
    if found is None:
        what = among[0].name if number is not None else among[0].search
        raise unscored(store, among[0].search, what)
    stage, columns = found
    try:
        confirmation = confirmation_of(store, stage) if by is None else None
    except UnknownSearch:
        confirmation = None
    if confirmation is not None:
        return _first_of(store, stage, overview(store, confirmation))
    which = "its stage" if number is not None else "all stages"
    hint = "" if by == "best" else f"; {stage.name} has not been confirmed"
    return _of_row(stage, columns, 0, "best", f"the best trial of {which}{hint}")


def check_asked(store: Store, stages: Sequence[Stage], *, number: int | None, trial: int | None) -> Choice | None:
    """The trial that was asked for by its numbers; None where only a stage was, or nothing.

    Raises:
        UnknownSearch: No such stage.
        BadInput: No such trial with a score, or no stage is given.
    """
    stage = None if number is None else pick(list(stages), number)
    if trial is None:
        return None
    if stage is None:
        raise BadInput(f"--trial {trial} without --stage: every stage has its own numbers; add --stage N")
    return _asked(store, stage, trial)


def _asked(store: Store, stage: Stage, trial: int) -> Choice:
    columns = store.columns(stage, states=("COMPLETE",), numbers=(trial,))
    if not columns["number"]:
        listing = commands_for(store, stage.search)("trials", "--stage", str(stage.number))
        raise BadInput(f"{stage.name} has no trial {trial} with a score; `{listing}` lists them")
    return _of_row(stage, columns, 0, "asked", "as asked")


def _of_row(stage: Stage, columns: Columns, at: int, by: Literal["best", "asked"], why: str) -> Choice:
    params = {name: columns[f"param:{name}"][at] for name in stage.space}
    if None in params.values():
        lacking = next(name for name, value in params.items() if value is None)
        raise BadInput(f"{stage.name} trial {columns['number'][at]} has no value of {lacking}; choose another one")
    return Choice(stage, columns["number"][at], params, by, columns["score"][at], 1, why)


def _confirmed(store: Store, among: Sequence[Stage]) -> Choice:
    """The first of all complete confirmations, by the rule by which each ranks its own."""
    stage_of = {(stage.search, stage.number): stage for stage in among}
    there = [one for one in store.confirmations(among[0].search) if (one.search, one.number) in stage_of]
    if not there:
        confirmation_of(store, among[-1])  # which says how
    seen = [overview(store, one) for one in there]
    complete = [one for one in seen if one.complete]
    if not complete:
        return _first_of(store, stage_of[there[0].search, there[0].number], seen[0])  # which says why not
    firsts = {id(one.order[0]): one for one in complete}
    best = firsts[id(in_order([one.order[0] for one in complete], among[0].direction)[0])]
    left_out = [one.confirmation.name for one in seen if not one.complete]
    found = _first_of(store, stage_of[best.confirmation.search, best.confirmation.number], best)
    if not left_out:
        return found
    return replace(found, why=f"{found.why}; without {', '.join(left_out)}, which judged nothing yet")


def _first_of(store: Store, stage: Stage, seen: Overview) -> Choice:
    name, commands = seen.confirmation.name, commands_for(store, stage.search)
    if seen.finished >= seen.places and not seen.order:
        raise BadInput(f"every repeat of {name} failed, so it chooses nothing; choose with --best")
    if not seen.complete:
        raise BadInput(
            f"{name} is not complete: {seen.finished} of {counted(seen.places, 'trial')} have finished; run "
            f"`{commands('confirm', *seen.as_begun)}` to its end, or choose with --best"
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
