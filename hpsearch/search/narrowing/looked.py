"""A look at a stage's trials: what they say about the next ranges. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.hits import fit, unpack
from hpsearch.objectives.base import Hyperparameter, UsedBy
from hpsearch.objectives.network.hyperparameters import HYPERPARAMETERS
from hpsearch.records import HITS
from hpsearch.search.narrowing.finished import Finished
from hpsearch.search.narrowing.movement import movement, within_reach
from hpsearch.search.narrowing.narrowed import Narrowing
from hpsearch.search.narrowing.ranges import asked_for, narrow, told_apart
from hpsearch.search.stage import pick, unscored
from hpsearch.seeds import draw_seed
from hpsearch.space import Categorical, Parameter, Space
from hpsearch.statistics.findings import Movement
from hpsearch.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hpsearch.records import Stage

_MOST_HITS = 1000
"""Of more trials than these, which a very large ``top`` brings, the images are not drawn again."""


def reachable(kind: Hyperparameter, old: Parameter) -> tuple[float | None, float | None]:
    """The bounds that an expansion may reach: half-way to a bound that the values leave out.

    On a log scale a bound of 0 is out of reach anyway.
    """
    if isinstance(old, Categorical):
        return None, None
    low, high = kind.low, kind.high
    if low is not None and kind.open_low:
        low = None if old.log else (old.low + low) / 2
    if high is not None and kind.open_high:
        high = (old.high + high) / 2
    return low, high


@dataclass(frozen=True, slots=True)
class Looked:
    """What a stage's trials say about the next ranges.

    Args:
        parent: The stage.
        first_space: The search's stage-1 ranges.
        scored: Its finished, scored trials.
        pruned: How many further ones were stopped early; they count, as beaten.
        narrowing: The new ranges with their evidence.
    """

    parent: Stage
    first_space: Space
    scored: Finished
    pruned: int
    narrowing: Narrowing

    def expanding(self) -> Narrowing:
        """The same with the bounds moved outwards towards which the score still rises."""
        rule = self.narrowing.rule
        return _narrowing(
            self.parent,
            self.first_space,
            self.scored,
            self.pruned,
            top=rule["top"],
            quantile=rule["quantile"],
            expand=True,
        )

    def movement(self, store: Store) -> dict[str, Movement]:
        """How far each range's ends would move with other trials and images, by name."""
        k = len(self.narrowing.used)
        ranked = self.scored.best(within_reach(k), self.parent.direction)
        images = self.parent.images
        hits = None
        if images is not None and len(ranked) <= _MOST_HITS:
            hits = hits_of(store, self.parent, ranked, images)
        users = {
            name: ranked.users(condition, self.parent.settings) for name, condition in _conditions(self.parent).items()
        }
        seed = draw_seed(self.parent.seed, k, "movement")
        return movement(self.narrowing, ranked, users, self.first_space, total=len(self.scored), hits=hits, seed=seed)


def to_narrow(store: Store, stages: list[Stage]) -> Stage:
    """The stage that narrowing is about unless another is asked for: the latest that has trials, or had to have."""
    latest = stages[-1]
    if latest.parent is not None and store.counts(latest).rows == 0:
        return pick(stages, latest.parent)
    return latest


def look(
    store: Store,
    stages: list[Stage],
    parent: Stage,
    *,
    top: int | None = None,
    quantile: float | None = None,
    expand: bool = False,
    leaders: Sequence[int] | None = None,
) -> Looked:
    """What a stage's trials say about the next ranges; writes nothing.

    Args:
        store: The study database.
        stages: The search's stages.
        parent: The one to look at.
        top: How many of the best trials to use.
        quantile: Or which fraction of them.
        expand: Move a bound outwards where the score still rises towards it.
        leaders: Numbers of the trials that are the best, best first; None: those with the best scores.

    Raises:
        NotEnoughTrials: Fewer finished trials than ``top``, or none.
    """
    pruned = store.counts(parent).pruned

    def ranked(complete: int) -> int:
        asked = (complete, pruned, top, quantile)
        return max(told_apart(*asked), within_reach(asked_for(*asked)))

    conditional = any(condition is not None for condition in _conditions(parent).values())
    columns = store.scores(parent, ranked=None if conditional else ranked)
    scored = Finished.from_columns(parent.space, columns)
    if len(scored) < len(columns["number"]):  # those that were left out may have been among the best
        scored = Finished.from_columns(parent.space, store.scores(parent))
    if not len(scored):
        raise unscored(store, parent.search, parent.name)
    narrowing = _narrowing(
        parent, stages[0].space, scored, pruned, top=top, quantile=quantile, expand=expand, leaders=leaders
    )
    return Looked(parent, stages[0].space, scored, pruned, narrowing)


def _narrowing(
    parent: Stage,
    first_space: Space,
    scored: Finished,
    pruned: int,
    *,
    top: int | None,
    quantile: float | None,
    expand: bool,
    leaders: Sequence[int] | None = None,
) -> Narrowing:
    # A hyperparameter of trials that were run elsewhere need not be what it is here, though it has the name.
    kinds = {name: kind for name, kind in HYPERPARAMETERS.items() if name in parent.space and parent.trainable}
    return narrow(
        parent.space,
        scored,
        top=top,
        quantile=quantile,
        direction=parent.direction,
        first_space=first_space,
        expand=expand,
        natural={name: reachable(kind, parent.space[name]) for name, kind in kinds.items()},
        used_by={name: kind.used_by for name, kind in kinds.items() if kind.used_by is not None},
        settings=parent.settings,
        pruned=pruned,
        leaders=leaders,
    )


def _conditions(stage: Stage) -> dict[str, UsedBy | None]:
    """Which trials use a parameter, for each of a stage's; None: all."""
    kinds = ((name, HYPERPARAMETERS.get(name) if stage.trainable else None) for name in stage.space)
    return {name: None if kind is None else kind.used_by for name, kind in kinds}


def hits_of(store: Store, stage: Stage, trials: Finished, images: int) -> NDArray[np.bool_] | None:
    """Which images these trials got right, (len(trials), images); None where that is not stored of all of them."""
    scores = dict(zip(trials.number.tolist(), trials.score.tolist(), strict=True))
    texts = store.attribute(stage, list(scores), HITS)
    if len(texts) < len(scores):
        return None
    try:
        hits = np.array([unpack(texts[number], images) for number in scores])
    except BadInput:
        return None
    fitting = all(
        fit(right, score, images) for right, score in zip(hits.sum(axis=1).tolist(), trials.score, strict=True)
    )
    return hits if fitting else None
