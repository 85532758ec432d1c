"""The next stage: narrowing over a stage's trials in the database, and the new stage written there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput, NotEnoughTrials, StageConflict
from hpsearch.objectives.base import Hyperparameter, UsedBy
from hpsearch.objectives.network.hyperparameters import HYPERPARAMETERS
from hpsearch.records import HITS, confirmation_name
from hpsearch.search.best import overview
from hpsearch.search.pruning import Plan, least_survivors
from hpsearch.search.range_analysis import (
    Finished,
    Movement,
    Narrowing,
    asked_for,
    movement,
    narrow,
    narrowing_to_dict,
    told_apart,
    within_reach,
)
from hpsearch.search.stage import commands_for, confirmation_of, pick, unscored, versions
from hpsearch.seeds import draw_seed, stage_seed
from hpsearch.space import Categorical, Parameter, Space
from hpsearch.statistics.hits import hits_match_score, unpack
from hpsearch.store import Counts, NewStage, Store
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.records import Stage
    from hpsearch.search.best import Repeats
    from hpsearch.search.range_analysis import Movement
    from hpsearch.store import Store


DEFAULT_TOP = 5
"""How many of the best trials narrowing uses, unless told otherwise."""


def check_top(top: int, until: int, plan: Plan | None, counts: Counts) -> None:
    """Check, before a stage is run, that it comes to have as many trials as its narrowing asks for.

    Args:
        top: How many of the best trials narrowing is to use.
        until: How many finished trials the stage is to have.
        plan: How hopeless ones stop early; None: none does.
        counts: What the stage has already.

    Raises:
        BadInput: It does not.
    """
    if top > max(until, counts.finished):
        raise BadInput(f"--top {top} of {counted(until, 'trial')} a stage; give more --trials or a smaller --top")
    if plan is not None and top > max(least := least_survivors(plan, until, counts), counts.complete):
        raise BadInput(
            f"--top {top} of {counted(until, 'trial')} a stage, of which pruning by {plan.rule} may leave {least} "
            "that run to the end; give more --trials, a smaller --top or --pruner none"
        )


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What `narrow_stage` found and did.

    Args:
        parent: The stage that was narrowed.
        finished: How many finished, scored trials it has; those that were stopped early count, as beaten.
        pruned: How many of them were stopped early.
        narrowing: The new ranges with their evidence.
        movement: How far each range's ends would move with other trials and images, by name.
        stage: The next stage, or None on a dry run.
        replaced: Whether it took the place of an earlier narrowing.
        confirmed: Of how many confirmed trials the best were taken; None: of all.
        remarks: What to know of a narrowing by confirmed trials: whether they were a choice, and what is not said.
    """

    parent: Stage
    finished: int
    pruned: int
    narrowing: Narrowing
    movement: Mapping[str, Movement]
    stage: Stage | None
    replaced: bool
    confirmed: int | None = None
    remarks: tuple[str, ...] = ()


def narrow_stage(
    store: Store,
    stages: list[Stage],
    *,
    number: int | None = None,
    top: int | None = None,
    quantile: float | None = None,
    expand: bool = False,
    branch: bool = False,
    dry_run: bool = False,
    confirmed: bool = False,
) -> Narrowed:
    """Compute the next stage's ranges from a stage's best trials, and make that stage.

    Args:
        store: The study database.
        stages: The search's stages.
        number: The stage to narrow; by default the latest that has trials.
        top: How many of the best trials to use.
        quantile: Or which fraction of them.
        expand: Move a bound outwards where the score still rises towards it.
        branch: Narrow an earlier stage although a later one has trials.
        dry_run: Only say what would happen.
        confirmed: Take for the best trials those of the stage's confirmation, by their mean scores.

    Raises:
        NotEnoughTrials: Fewer finished trials than ``top``, or none.
        UnknownSearch: With ``confirmed``: the stage has no confirmation.
        StageConflict: A later stage has trials already.
    """
    latest = stages[-1]
    latest_rows = store.counts(latest).rows
    parent = pick(stages, number) if number is not None else to_narrow(store, stages)
    next_number = latest.number if latest_rows == 0 and latest.number != parent.number else latest.number + 1
    # The narrowing that an empty last stage came from may be made again without saying --branch again.
    again = next_number == latest.number and latest.parent == parent.number
    if not branch and not again and not dry_run:
        for later in reversed(stages):
            rows = store.counts(later).rows if later.number > parent.number else 0
            if rows:
                raise StageConflict(
                    f"{later.name} has {counted(rows, 'trial')} already, so narrowing stage {parent.number} again "
                    f"would not replace it; narrow stage {later.number} instead, or add --branch to make stage "
                    f"{next_number} from stage {parent.number}"
                )
    leaders = leaders_of(store, parent, top=top, quantile=quantile) if confirmed else None
    if leaders is not None and top is None:
        top = min(DEFAULT_TOP, len(leaders))
    order = None if leaders is None else [one.setting.trial for one in leaders]
    ranges = look(store, stages, parent, top=top, quantile=quantile, expand=expand, leaders=order)
    narrowing = ranges.narrowing
    if leaders is not None:
        narrowing = replace(narrowing, rule={**narrowing.rule, **confirmed_rule(parent, leaders)})
    replaced = next_number == latest.number
    stage = None
    if not dry_run:
        stage = _next_stage(store, stages[0], parent, next_number, narrowing, replace=replaced)
    return Narrowed(
        parent=parent,
        finished=len(ranges.scored) + ranges.pruned,
        pruned=ranges.pruned,
        narrowing=narrowing,
        # That of the best by single scores, which were not asked.
        movement=ranges.movement(store) if leaders is None else {},
        stage=stage,
        replaced=replaced,
        confirmed=None if leaders is None else len(leaders),
        remarks=() if leaders is None else _remarks(leaders, narrowing),
    )


def _remarks(leaders: Sequence[Repeats], narrowing: Narrowing) -> tuple[str, ...]:
    """What to know of a narrowing by confirmed trials."""
    found = []
    if len(narrowing.used) == len(leaders):
        smaller = fewer(len(leaders))
        hint = f"; --top {smaller} takes the best by their means" if smaller else "; confirm more, and take the best"
        found.append(
            f"all {len(leaders)} confirmed trials were taken, so their means chose nothing, and ranges and p are those "
            f"of the same trials without --from confirm{hint}"
        )
    found.append(
        "how far other trials and images would move the ends is not known: that is counted by choosing among all "
        "trials again, and only these were confirmed"
    )
    return tuple(found)


def _next_stage(
    store: Store, first: Stage, parent: Stage, number: int, narrowing: Narrowing, *, replace: bool
) -> Stage:
    rule: dict[str, Any] = narrowing_to_dict(narrowing)
    new = NewStage(
        search=parent.search,
        number=number,
        direction=parent.direction,
        seed=stage_seed(first.seed, number),
        space=narrowing.space,
        study_file=parent.study_file,
        parent=parent.number,
        rule=rule,
        trials_used=narrowing.used,
        fingerprint=parent.fingerprint,
        sizes=parent.sizes,
        versions=versions(),
    )
    return store.create_stage(new, replace=replace)


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
        hits_match_score(right, score, images)
        for right, score in zip(hits.sum(axis=1).tolist(), trials.score, strict=True)
    )
    return hits if fitting else None


def leaders_of(store: Store, parent: Stage, *, top: int | None, quantile: float | None) -> Sequence[Repeats]:
    """The settings of a stage's confirmation, best first.

    Args:
        store: The study database.
        parent: The stage.
        top: How many of them narrowing is to use; None for what there is.
        quantile: Not to be given: it is a share of many trials.

    Raises:
        UnknownSearch: The stage has no confirmation.
        NotEnoughTrials: It has fewer settings than asked for.
        BadInput: A quantile.
    """
    if quantile is not None:
        raise BadInput(f"--quantile {quantile} with --from confirm: few are confirmed; give --top")
    confirmation = confirmation_of(store, parent)
    seen, commands = overview(store, confirmation), commands_for(store, parent.search)
    if seen.finished < seen.places:
        raise NotEnoughTrials(
            f"{confirmation.name} is not complete: {seen.finished} of {counted(seen.places, 'trial')} have "
            f"finished; run `{commands('confirm', *seen.as_begun)}` to its end"
        )
    found = seen.order
    asked = max(2, top or 0)
    if len(found) < asked:
        raise NotEnoughTrials(
            f"--top {asked} of {counted(len(found), 'confirmed trial')}; give a smaller --top, or first "
            f"`{commands('confirm', '--stage', str(parent.number), '--top', str(asked))}`"
        )
    return found


def fewer(settings: int) -> int | None:
    """How many of so many confirmed settings to narrow by, so that the confirmation chooses; None: of too few none."""
    return (settings + 1) // 2 if settings >= 3 else None


def confirmed_rule(parent: Stage, leaders: Sequence[Repeats]) -> dict[str, Any]:
    """What a narrowing by a confirmation keeps of it, as JSON-able data."""
    means = [
        {"trial": one.setting.trial, "mean": one.mean, "repeats": len(one.scores), "failed": one.failed}
        for one in leaders
    ]
    return {"from": confirmation_name(parent.search, parent.number), "confirmed": means}
