"""What a search has taught so far and what to do next: the best trial, its ties, the ranges, and advice in words.

Nothing is decided here that another module decides: ranges and their evidence are narrowing's
(`hpsearch.search.narrowing.looked`), ties and the corrected score are those of `hpsearch.search.advising.contenders`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.errors import NotEnoughTrials
from hpsearch.search.advising.advice import advice
from hpsearch.search.advising.contenders import contest
from hpsearch.search.advising.judged import confirmed, evaluated
from hpsearch.search.advising.steps import NextStep, Standing, next_step
from hpsearch.search.narrowing.looked import look, to_narrow
from hpsearch.search.stage import commands_for, latest_with_trials
from hpsearch.statistics.findings import Findings, RangeFinding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.records import Stage
    from hpsearch.search.advising.contenders import Contest
    from hpsearch.search.narrowing.looked import Looked
    from hpsearch.store import Store


def findings(store: Store, stages: Sequence[Stage], *, top: int = 5) -> Findings:
    """What the stages of one search have taught so far.

    Args:
        store: The study database; nothing is written.
        stages: The search's stages, at least one, by number.
        top: How many of the best trials are called that; at least 2.
    """
    stage, found, ranges, top = _seen(store, stages, top, firm=True)
    tied: tuple[int, ...] = ()
    distinguishable = None
    if found is not None:
        tied = found.tied_numbers
        if found.known and len(found.tied) >= top - 1:
            distinguishable = not any(found.tied[: top - 1])
    at = _standing(store, stages, stage, found, ranges, top)
    commands = commands_for(store, stage.search)
    following = next_step(at, commands)
    sentences, figures = advice(found, at, following, commands)
    return Findings(
        search=stage.search,
        stage=stage.name,
        best=None if found is None else found.best,
        tied=tied,
        distinguishable=distinguishable,
        ranges=ranges,
        advice=sentences,
        top=top,
        step=following.step,
        commands=following.commands,
        figures=figures,
        confirmed=at.confirmed,
        evaluated=at.evaluated,
    )


def what_next(store: Store, stages: Sequence[Stage], *, top: int = 5) -> NextStep:
    """What the findings advise to do next, without the figures, which take longer.

    Args:
        store: The study database; nothing is written.
        stages: The search's stages, at least one, by number.
        top: How many of the best trials are called that; at least 2.
    """
    stage, found, ranges, top = _seen(store, stages, top, firm=False)
    return next_step(_standing(store, stages, stage, found, ranges, top), commands_for(store, stage.search))


def _seen(
    store: Store, stages: Sequence[Stage], top: int, *, firm: bool
) -> tuple[Stage, Contest | None, dict[str, RangeFinding], int]:
    """The stage that narrowing is about, the best trial, the next ranges, and of how many best trials these are."""
    of_search = list(stages)
    stage = to_narrow(store, of_search)
    found = contest(store, of_search, correcting=firm)
    counts = store.counts(stage)
    if counts.pruned and 2 <= counts.complete < top:
        top = counts.complete  # all that pruning left
    try:
        return stage, found, _ranges(look(store, of_search, stage, top=top), store, firm=firm), top
    except NotEnoughTrials:
        return stage, found, {}, top  # which the advice says


def _standing(
    store: Store,
    of_search: Sequence[Stage],
    stage: Stage,
    found: Contest | None,
    ranges: Mapping[str, RangeFinding],
    top: int,
) -> Standing:
    """Where the search stands, all its stages considered though only some may be looked at."""
    every = store.stages(stage.search)
    latest = latest_with_trials(store, every)
    current = {latest.name, stage.name if found is None else found.stage.name}
    return Standing(
        stages=every,
        stage=stage,
        latest=latest,
        best=None if found is None else found.stage,
        trial=None if found is None else found.best.trial,
        tied=found is not None and any(found.tied),
        counts=store.counts(stage),
        ranges=ranges,
        top=top,
        confirmed=None if found is None else confirmed(store, found.stage),
        evaluated=evaluated(store, every, current=current),
        part=len(every) > len(of_search),
    )


def _ranges(looked: Looked, store: Store, *, firm: bool) -> dict[str, RangeFinding]:
    """What narrowing would make of each parameter, and with ``firm`` how firm that is."""
    narrowing, movement = looked.narrowing, looked.movement(store) if firm else {}
    expanding = looked.expanding() if any(made.edges for made in narrowing.ranges.values()) else None
    found = {}
    for name, made in narrowing.ranges.items():
        moves = movement.get(name)
        found[name] = RangeFinding(
            before=made.before,
            after=made.after,
            p=made.evidence,
            at_edge=made.edges[0].side if made.edges else None,
            low_moves=None if moves is None else moves.low,
            high_moves=None if moves is None else moves.high,
            low_moves_often=None if moves is None else moves.low_often,
            high_moves_often=None if moves is None else moves.high_often,
            images_too=moves is None or moves.images,
            expanding=expanding.space[name] if expanding is not None and made.edges else None,
        )
    return found
