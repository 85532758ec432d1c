"""What a search has taught so far and what to do next: the best trial, its ties, the ranges, and advice in words.

Nothing is decided here that another module decides: ranges and their evidence are narrowing's
(`hpsearch.search.looked`), ties and the corrected score are those of `hpsearch.search.contenders`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.errors import NotEnoughTrials
from hpsearch.search.advice import advice
from hpsearch.search.contenders import contest
from hpsearch.search.looked import look, to_narrow
from hpsearch.search.tally import overview
from hpsearch.statistics.findings import Findings, RangeFinding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.records import Stage
    from hpsearch.search.contenders import Contest
    from hpsearch.search.looked import Looked
    from hpsearch.store import Store


def findings(store: Store, stages: Sequence[Stage], *, top: int = 5) -> Findings:
    """What the stages of one search have taught so far.

    Args:
        store: The study database; nothing is written.
        stages: The search's stages, at least one, by number.
        top: How many of the best trials are called that; at least 2.
    """
    of_search = list(stages)
    stage = to_narrow(store, of_search)
    found = contest(store, of_search)
    counts = store.counts(stage)
    if counts.pruned and 2 <= counts.complete < top:
        top = counts.complete  # all that pruning left
    ranges: dict[str, RangeFinding] = {}
    looked: Looked | None = None
    try:
        looked = look(store, of_search, stage, top=top)
        ranges = _ranges(looked, store)
    except NotEnoughTrials:
        pass  # which the advice says
    tied: tuple[int, ...] = ()
    distinguishable = None
    if found is not None:
        tied = found.tied_numbers
        if found.known and len(found.tied) >= top - 1:
            distinguishable = not any(found.tied[: top - 1])
    return Findings(
        search=stage.search,
        stage=stage.name,
        best=None if found is None else found.best,
        tied=tied,
        distinguishable=distinguishable,
        ranges=ranges,
        advice=advice(stage, found, ranges, counts=counts, top=top, confirmed=_is_confirmed(store, found)),
        top=top,
    )


def _is_confirmed(store: Store, found: Contest | None) -> bool:
    """Whether the best trials of the best trial's stage have been trained again, to the end."""
    if found is None:
        return False
    there = [one for one in store.confirmations(found.stage.search) if one.number == found.stage.number]
    return any(overview(store, one).complete for one in there)


def _ranges(looked: Looked, store: Store) -> dict[str, RangeFinding]:
    narrowing, movement = looked.narrowing, looked.movement(store)
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
            expanding=expanding.space[name] if expanding is not None and made.edges else None,
        )
    return found
