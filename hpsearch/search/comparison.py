"""Two searches, stages or trials side by side: their results, their cost, and what chance explains."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import NotEnoughTrials
from hpsearch.objectives import kinds
from hpsearch.records import HITS, SECONDS, Direction, Stage
from hpsearch.search.adoption import Adoption, Entrant, decide
from hpsearch.search.best import choose_trial
from hpsearch.search.noise import folds_of, noise_of
from hpsearch.search.stage import best_of, compares
from hpsearch.space import delivered_as
from hpsearch.statistics.budget import expected_best
from hpsearch.statistics.comparisons import mann_whitney, superiority
from hpsearch.statistics.folds import corrected_error, upper_p
from hpsearch.statistics.hits import discordant, matching, mcnemar
from hpsearch.statistics.intervals import Interval
from hpsearch.store import Counts
from hpsearch.study_file import differences
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hpsearch.store.queries import Columns

SIGNIFICANT = 0.05  # at and above this p-value chance may explain a difference
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
class Paired:
    """The two best trials, example by example."""

    examples: int = field(metadata={"json": "images"})  # as in 0.2
    only_a: int
    only_b: int
    p: float  # McNemar's exact p-value that they are equally good

    def sentence(self) -> str:
        """Return the comparison as a sentence."""
        if not self.only_a + self.only_b:
            return f"the two best trials get the same of the {self.examples} validation examples right"
        winner = "B's best" if self.only_b > self.only_a else "A's best"
        verdict = f"{winner} is better on them" if self.p < SIGNIFICANT else "the two are statistically tied"
        return (
            f"of the same {self.examples} validation examples only A's best gets {self.only_a} right, and only B's "
            f"best {self.only_b} ({_p(self.p)}): {verdict}"
        )


@dataclass(frozen=True, slots=True)
class PairedFolds:
    """The two best trials, fold by fold."""

    folds: int
    difference: float  # b's mean over the folds less a's
    p: float  # two-sided, of the corrected resampled t-test

    def sentence(self) -> str:
        """Return the comparison as a sentence."""
        verdict = "they differ significantly" if self.p < SIGNIFICANT else "they are statistically tied"
        return f"on the same {self.folds} folds B's best is {self.difference:+.2g} from A's ({_p(self.p)}): {verdict}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two searches or stages compared; ``b`` against ``a``."""

    a: Side
    b: Side
    # the probability that a random trial of b is better than one of a, ties counted half; None where their scores are
    # not of one kind
    superiority: float | None
    p: float | None  # Mann and Whitney's p-value that they are of one distribution; None likewise
    # number of random trials that ``expected`` is about: the smaller number of complete ones; None likewise
    drawn: int | None
    expected: tuple[float, float] | None  # the expected best of so many random trials of each
    # the two best trials example by example; None where they were not scored on the same examples, or that is not known
    paired: Paired | PairedFolds | None
    remarks: tuple[str, ...]  # obstacles to the comparison
    sentences: tuple[str, ...]
    adoption: Adoption  # whether to adopt b's values in place of a's


def _p(p: float) -> str:
    return f"p = {p:.2g}" if p >= 1e-15 else "p < 1e-15"


def compare(a: Entrant, b: Entrant) -> Comparison:
    """Compare two searches, stages or trials. NotEnoughTrials if one of them has no trial with a score."""
    side_a, side_b = _side(a), _side(b)
    scores_a, scores_b = (_scores(entrant, sampled=True) for entrant in (a, b))
    sentences = []
    p = share = size = expected = paired = None
    comparable = (side_a.metric, side_a.direction) == (side_b.metric, side_b.direction)
    if comparable and a.trial is None and b.trial is None and scores_a.size and scores_b.size:
        sign = 1.0 if side_a.direction == "maximize" else -1.0
        p = mann_whitney(scores_a, scores_b)
        share = superiority(sign * scores_b, sign * scores_a)
        chance = "" if p < SIGNIFICANT else "; chance may explain that"
        sentences.append(f"a random trial of B beats one of A in {share:.0%} of pairs ({_p(p)}){chance}")
        if len(scores_a) != len(scores_b):
            size = min(len(scores_a), len(scores_b))
            of_a, of_b = (sign * expected_best(sign * scores, size) for scores in (scores_a, scores_b))
            expected = (of_a, of_b)
            sentences.append(f"the best of {size} random trials is {of_a:.4g} for A and {of_b:.4g} for B, on average")
    if comparable:
        paired = _paired(a, b, side_a, side_b)
        if paired is not None:
            sentences.append(paired.sentence())
    remarks = [*_obstacles(a, b)]
    remarks += [
        f"{name} pruned {side.pruned} of {counted(side.finished, 'trial')}; they are left out, so the scores of "
        f"{name} look better than they are"
        for name, side in (("A", side_a), ("B", side_b))
        if side.pruned
    ]
    if paired is not None and paired.p < SIGNIFICANT:
        remarks.append(
            "each best trial was chosen for its score on these examples, so the last p-value is too small (selection "
            "bias); compare them on other examples"
        )
    tests = (share, p, size, expected, paired)
    return Comparison(side_a, side_b, *tests, tuple(remarks), tuple(sentences), decide(a, b))


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


def _scores(entrant: Entrant, *, sampled: bool = False) -> NDArray[np.float64]:
    """Return the scores that compare with the best one; with ``sampled`` without those that a refinement proposed."""
    stage, best = _best(entrant)
    if entrant.trial is not None:
        return np.array(best["score"])
    same = [of for of in entrant.stages if compares(of, stage) and not (sampled and of.refinement)]
    return np.concatenate([np.zeros(0), *(entrant.store.scores(of)["score"] for of in same)])


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


def _paired(a: Entrant, b: Entrant, side_a: Side, side_b: Side) -> Paired | PairedFolds | None:
    data, hits, folds = [], [], []
    for entrant, side in ((a, side_a), (b, side_b)):
        stage = next(stage for stage in entrant.stages if stage.name == side.best_stage)
        examples = stage.sizes.get("validation", 0)
        text = entrant.store.attribute(stage, [side.best_trial], HITS).get(side.best_trial)
        score = None if kinds.examples(stage) is None else side.best  # of another metric the hits cannot be checked
        data.append((stage.fingerprint, examples))
        hits.append(matching(text, examples, score))
        of_trial, ratio = folds_of(entrant.store, stage, {side.best_trial: side.best})
        folds.append(of_trial.get(side.best_trial, ()))
    if not data[0][0] or data[0] != data[1]:
        return None
    if folds[0] and len(folds[0]) == len(folds[1]):
        gains = [of_b - of_a for of_a, of_b in zip(*folds, strict=True)]
        gain = math.fsum(gains) / len(gains)
        p = 2 * upper_p(abs(gain), corrected_error(gains, ratio), len(gains) - 1)
        return PairedFolds(len(gains), gain, min(p, 1.0))
    if hits[0] is None or hits[1] is None:
        return None
    only_a, only_b = discordant(hits[0], hits[1])
    return Paired(data[0][1], only_a, only_b, mcnemar(only_a, only_b))


def _obstacles(a: Entrant, b: Entrant) -> Iterator[str]:
    """Yield differences between two searches beside their results, the most serious first."""
    first, second = _best(a)[0], _best(b)[0]
    if first.metric != second.metric:
        yield f"not comparable: A is ranked by {first.metric} and B by {second.metric}; no test was made"
    elif first.direction != second.direction:
        directions = f"A {first.direction}s {first.metric} and B {second.direction}s it"
        yield f"not comparable: {directions}; no test was made"
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
