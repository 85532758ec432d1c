"""Two searches, stages or trials side by side: their results, their cost, and whether to adopt the second's values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import NotEnoughTrials
from hpsearch.objectives import kinds
from hpsearch.records import HITS, SECONDS, Direction, Stage
from hpsearch.search.adoption import Adoption, Entrant, decide
from hpsearch.search.best import choose_trial
from hpsearch.search.noise import noise_of
from hpsearch.search.stage import best_of, compares
from hpsearch.space import delivered_as
from hpsearch.statistics.intervals import Interval
from hpsearch.store import Counts
from hpsearch.study_file import differences
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hpsearch.store.queries import Columns

_MOST_DIFFERENCES = 4


@dataclass(frozen=True, slots=True)
class Side:
    """The results of one side of a comparison."""

    name: str
    where: str  # the database, as messages name it
    metric: str
    direction: Direction
    stages: int
    complete: int
    pruned: int
    failed: int
    epochs: int  # trained in all trials together; 0 where no curve is stored
    seconds: float | None  # of all trials together; None where that is not known
    best_stage: str
    best_trial: int
    best: float
    # the 95 % interval of that score; None where its noise is not known
    interval: Interval | None
    # lowest, first quartile, median, third quartile and highest of the scores that compare with the best one
    quartiles: tuple[float, float, float, float, float]

    @property
    def finished(self) -> int:
        """Trials that will not be run again."""
        return self.complete + self.pruned + self.failed


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two searches or stages compared; ``b`` against ``a``."""

    a: Side
    b: Side
    remarks: tuple[str, ...]  # obstacles to the comparison
    adoption: Adoption  # whether to adopt b's values in place of a's


def compare(a: Entrant, b: Entrant) -> Comparison:
    """Compare two searches, stages or trials. NotEnoughTrials if one of them has no trial with a score."""
    side_a, side_b = _side(a), _side(b)
    remarks = [*_obstacles(a, b)]
    remarks += [
        f"{name} pruned {side.pruned} of {counted(side.finished, 'trial')}; they are left out, so the scores of "
        f"{name} look better than they are"
        for name, side in (("A", side_a), ("B", side_b))
        if side.pruned
    ]
    return Comparison(side_a, side_b, tuple(remarks), decide(a, b))


def _best(entrant: Entrant) -> tuple[Stage, Columns]:
    """Return the stage of the trial that stands for a side, and its columns."""
    store, stages = entrant.store, entrant.stages
    if entrant.trial is not None:
        choose_trial(store, stages, number=stages[0].number, trial=entrant.trial)  # raises without a score
        return stages[0], store.columns(stages[0], states=("COMPLETE",), numbers=(entrant.trial,))
    best = best_of(store, stages)
    if best is None:
        raise NotEnoughTrials(
            f"{entrant.name} in {store.where} has no trial with a score, so there is nothing to compare"
        )
    return best


def _scores(entrant: Entrant) -> NDArray[np.float64]:
    """Return the scores that compare with the best one."""
    stage, best = _best(entrant)
    if entrant.trial is not None:
        return np.array(best["score"])
    return np.concatenate([entrant.store.scores(of)["score"] for of in entrant.stages if compares(of, stage)])


def _side(entrant: Entrant) -> Side:
    store, stages = entrant.store, entrant.stages
    stage, top = _best(entrant)
    score, noise = top["score"][0], noise_of(store, stage, {HITS: [None], **top})
    if entrant.trial is None:
        counts = [store.counts(stage) for stage in stages]
        stored = [value for stage in stages for _, value in store.attributes(stage, SECONDS)]
        epochs = sum(store.epochs(stage) for stage in stages)
    else:
        counts, stored = [Counts(complete=1)], top["seconds"]
        epochs = sum(map(len, store.points(stage, top["number"]).values()))
    seconds = [float(value) for value in stored if type(value) in (int, float) and math.isfinite(value)]
    lowest, lower, median, upper, highest = np.quantile(_scores(entrant), (0, 0.25, 0.5, 0.75, 1)).tolist()
    return Side(
        name=entrant.name,
        where=store.where,
        metric=stage.metric,
        direction=stage.direction,
        stages=len(stages),
        complete=sum(count.complete for count in counts),
        pruned=sum(count.pruned for count in counts),
        failed=sum(count.failed for count in counts),
        epochs=epochs,
        seconds=math.fsum(seconds) if seconds else None,
        best_stage=stage.name,
        best_trial=top["number"][0],
        best=score,
        interval=None if noise is None else noise.interval(top["number"][0]),
        quartiles=(lowest, lower, median, upper, highest),
    )


def _obstacles(a: Entrant, b: Entrant) -> Iterator[str]:
    """Yield differences between two searches beside their results, the most serious first."""
    first, second = _best(a)[0], _best(b)[0]
    if first.metric != second.metric:
        yield f"not comparable: A is ranked by {first.metric} and B by {second.metric}"
    elif first.direction != second.direction:
        yield f"not comparable: A {first.direction}s {first.metric} and B {second.direction}s it"
    unknown = [name for name, stage in (("A", first), ("B", second)) if not stage.fingerprint]
    if unknown:
        yield f"the data of {' and '.join(unknown)} are not known, so a difference may be the data's"
    elif first.fingerprint != second.fingerprint:
        sizes = [f"{of.sizes.get('train', '?')} + {of.sizes.get('validation', '?')} examples" for of in (first, second)]
        yield f"not comparable: the data differ ({sizes[0]} in A, {sizes[1]} in B); a difference may be the data's"
    epochs = [kinds.trained_epochs(stage) for stage in (first, second)]
    if None not in epochs and epochs[0] != epochs[1]:
        yield f"the budgets differ: a trial of A trains for {epochs[0]} epochs, one of B for {epochs[1]}"
    for name, stages in (("A", a.stages), ("B", b.stages)):
        if len(stages) > 1:
            yield f"{name} is {len(stages)} stages together; name one (such as {stages[-1].name}) to compare its ranges"
    own, others = ({delivered_as(name, of): None for name, of in stage.space.items()} for stage in (first, second))
    for label, ours, theirs in (("A", own, others), ("B", others, own)):
        if only := [name for name in ours if name not in theirs]:
            yield f"only {label} searches {', '.join(only)}"
    if kinds.trainable(first) and kinds.trainable(second):
        changed = [
            text
            for text in differences(first.study_file, second.study_file)
            if not text.startswith(("name", "space", "trials")) and not text.partition(":")[0].endswith(".epochs")
        ]
        if changed:
            more = f" and {len(changed) - _MOST_DIFFERENCES} more" if len(changed) > _MOST_DIFFERENCES else ""
            yield f"from A to B also: {'; '.join(changed[:_MOST_DIFFERENCES])}{more}"
