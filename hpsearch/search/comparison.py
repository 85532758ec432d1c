"""Two searches, or two stages, side by side: what came of each, at what price, and whether chance explains it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import NotEnoughTrials
from hpsearch.records import HITS, SECONDS
from hpsearch.search.stage import best_of
from hpsearch.statistics import Interval, mann_whitney, wilson
from hpsearch.statistics.comparisons import discordant, two_sided
from hpsearch.statistics.hits import fitting
from hpsearch.study_file import differences
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hpsearch.records import Direction, Stage
    from hpsearch.store import Store


SURE = 0.05
"""At and above this p-value a difference is said to be one that chance may explain."""


@dataclass(frozen=True, slots=True)
class Side:
    """What came of one of the two.

    Args:
        name: The search, or the stage.
        where: The database, for people.
        metric: What its scores measure.
        direction: Whether a higher or a lower one is better.
        stages: How many stages it has.
        complete: Trials with a score.
        pruned: Trials that were stopped early.
        failed: Trials without a score.
        epochs: Trained in all trials together; 0 where no curve was kept.
        seconds: Of all trials together; None where that is not known.
        best_stage: The name of the stage with the best trial.
        best_trial: That trial's number.
        best: Its score.
        interval: The 95 % interval of that score; None where it is no accuracy on a known number of images.
        quartiles: Lowest, first quartile, median, third quartile and highest of the scores.
    """

    name: str
    where: str
    metric: str
    direction: Direction
    stages: int
    complete: int
    pruned: int
    failed: int
    epochs: int
    seconds: float | None
    best_stage: str
    best_trial: int
    best: float
    interval: Interval | None
    quartiles: tuple[float, float, float, float, float]

    @property
    def finished(self) -> int:
        """Trials that will not be run again."""
        return self.complete + self.pruned + self.failed


@dataclass(frozen=True, slots=True)
class Paired:
    """The two best trials, image by image.

    Args:
        images: How many validation images both saw.
        only_a: How many only the first got right.
        only_b: How many only the second did.
        p: McNemar's exact p-value that they are equally good.
    """

    images: int
    only_a: int
    only_b: int
    p: float

    def sentence(self) -> str:
        """What it says, in words."""
        if not self.only_a + self.only_b:
            return f"the two best get the same of the {self.images} validation images right"
        winner = "B's best" if self.only_b > self.only_a else "A's best"
        verdict = f"{winner} is better on them" if self.p < SURE else "the two cannot be told apart"
        return (
            f"of the same {self.images} validation images only A's best gets {self.only_a} right, and only B's best "
            f"{self.only_b} ({_p(self.p)}): {verdict}"
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two searches or stages compared; ``b`` against ``a``.

    Args:
        a: The first.
        b: The second.
        superiority: The probability that a random trial of b is better than one of a, ties counted half; None where
            their scores are not of one kind.
        p: Mann and Whitney's p-value that they are of one distribution; None likewise.
        drawn: How many random trials ``expected`` is about: the smaller number of completed ones; None likewise.
        expected: The expected best of so many random trials of each.
        paired: The two best trials image by image; None where they did not see the same images, or that is not known.
        remarks: What makes them hard to compare, or not comparable at all.
    """

    a: Side
    b: Side
    superiority: float | None
    p: float | None
    drawn: int | None
    expected: tuple[float, float] | None
    paired: Paired | None
    remarks: tuple[str, ...]

    def sentences(self) -> tuple[str, ...]:
        """What it says, in words."""
        said = []
        if self.superiority is not None and self.p is not None:
            chance = "" if self.p < SURE else "; chance may explain that"
            said.append(f"a random trial of B beats one of A in {self.superiority:.0%} of pairs ({_p(self.p)}){chance}")
        if self.expected is not None and self.drawn is not None:
            of_a, of_b = self.expected
            said.append(f"the best of {self.drawn} random trials is {of_a:.4g} for A and {of_b:.4g} for B, on average")
        if self.paired is not None:
            said.append(self.paired.sentence())
        return tuple(said)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-able data, with every digit."""
        return {**asdict(self), "sentences": list(self.sentences()), "remarks": list(self.remarks)}


def _p(p: float) -> str:
    return f"p = {p:.2g}" if p >= 1e-15 else "p < 1e-15"


@dataclass(frozen=True, slots=True)
class Entrant:
    """One of the two that are compared.

    Args:
        store: Its database.
        name: The search, or the stage.
        stages: The search's stages, or that stage.
    """

    store: Store
    name: str
    stages: Sequence[Stage]


def compare(a: Entrant, b: Entrant) -> Comparison:
    """Compare two searches or stages.

    Raises:
        NotEnoughTrials: One of them has no trial with a score.
    """
    scores_a, scores_b = (_scores(entrant) for entrant in (a, b))
    sides = [_side(a, scores_a), _side(b, scores_b)]
    one, other = sides
    p = superiority = drawn = expected = paired = None
    if (one.metric, one.direction) == (other.metric, other.direction):
        sign = 1.0 if one.direction == "maximize" else -1.0
        p = mann_whitney(scores_a, scores_b)
        superiority = beats(sign * scores_b, sign * scores_a)
        if len(scores_a) != len(scores_b):
            drawn = min(len(scores_a), len(scores_b))
            of_a, of_b = (sign * expected_best(sign * scores, drawn) for scores in (scores_a, scores_b))
            expected = (of_a, of_b)
        paired = _paired(a, b, one, other)
    said = remarks(a.stages, b.stages)
    said += [
        f"{side} stopped {who.pruned} of {counted(who.finished, 'trial')} early; they are left out, which flatters the "
        f"distribution of {side}"
        for side, who in (("A", one), ("B", other))
        if who.pruned
    ]
    if paired is not None and paired.p < SURE:
        said.append(
            "each best was picked for its score on these images, so the last p is too small; other images would tell"
        )
    return Comparison(one, other, superiority, p, drawn, expected, paired, tuple(said))


def beats(winners: NDArray[np.float64], losers: NDArray[np.float64]) -> float:
    """The probability that a random one of the first is higher than one of the second, ties counted half.

    The statistic of Mann and Whitney over the number of pairs (Vargha & Delaney 2000).
    """
    ordered = np.sort(losers)
    below, upto = (np.searchsorted(ordered, winners, side=side).sum() for side in ("left", "right"))
    return float((below + upto) / 2 / (len(winners) * len(losers)))


def expected_best(scores: NDArray[np.float64], drawn: int) -> float:
    """The expected highest of so many of these scores, drawn without replacement.

    Sum of the i-th lowest times C(i - 1, m - 1) / C(n, m) (as Dodge et al. 2019 compare searches of one budget).

    Args:
        scores: Shape (n,).
        drawn: m, from 1 to n.
    """
    ordered = np.sort(scores)[::-1]
    n = len(ordered)
    # The highest is the best with probability m/n; if not, the next one of n - 1, and so on down.
    share, left = drawn / n, 1.0
    total = 0.0
    for i, score in enumerate(ordered.tolist()):
        total += left * share * score
        left *= 1 - share
        if left <= 0 or n - i - 1 < drawn:
            break
        share = drawn / (n - i - 1)
    return total


def _scores(entrant: Entrant) -> NDArray[np.float64]:
    return np.concatenate([entrant.store.scores(stage)["score"] for stage in entrant.stages])


def _side(entrant: Entrant, scores: NDArray[np.float64]) -> Side:
    store, stages = entrant.store, list(entrant.stages)
    found = best_of(store, stages)
    if found is None:
        raise NotEnoughTrials(
            f"{entrant.name} in {store.where} has no trial with a score, so there is nothing to compare"
        )
    stage, top = found
    counts = [store.counts(one) for one in stages]
    kept = [value for one in stages for _, value in store.attributes(one, SECONDS)]
    seconds = [float(value) for value in kept if type(value) in (int, float) and math.isfinite(value)]
    quartiles = np.quantile(scores, (0, 0.25, 0.5, 0.75, 1)).tolist()
    return Side(
        name=entrant.name,
        where=store.where,
        metric=stage.metric,
        direction=stage.direction,
        stages=len(stages),
        complete=sum(count.complete for count in counts),
        pruned=sum(count.pruned for count in counts),
        failed=sum(count.failed for count in counts),
        epochs=sum(store.epochs(one) for one in stages),
        seconds=math.fsum(seconds) if seconds else None,
        best_stage=stage.name,
        best_trial=top["number"][0],
        best=top["score"][0],
        interval=_interval(stage, top["score"][0]),
        quartiles=tuple(quartiles),
    )


def _interval(stage: Stage, score: float) -> Interval | None:
    if stage.images is None or not 0 <= score <= 1:
        return None
    return wilson(round(score * stage.images), stage.images)


def _paired(a: Entrant, b: Entrant, one: Side, other: Side) -> Paired | None:
    found = []
    for entrant, side in ((a, one), (b, other)):
        stage = next(stage for stage in entrant.stages if stage.name == side.best_stage)
        images = stage.sizes.get("validation", 0)
        text = entrant.store.attribute(stage, [side.best_trial], HITS).get(side.best_trial)
        score = side.best if stage.metric == "validation_accuracy" else None
        found.append((stage.fingerprint, images, None if text is None else fitting(text, images, score)))
    (data, images, hits), (other_data, other_images, other_hits) = found
    if not data or (data, images) != (other_data, other_images) or hits is None or other_hits is None:
        return None
    only_a, only_b = discordant(hits, other_hits)
    return Paired(images, only_a, only_b, two_sided(only_a, only_b))


_MOST_DIFFERENCES = 4


def remarks(a: Sequence[Stage], b: Sequence[Stage]) -> list[str]:
    """Sentences about what differs between two searches beside their results; the most serious first.

    Args:
        a: The stages of the first, A.
        b: The stages of the second, B.
    """
    return [*_metrics(a[0], b[0]), *_data(a[0], b[0]), *_budgets(a, b), *_settings(a[0], b[0])]


def _metrics(a: Stage, b: Stage) -> Iterator[str]:
    if a.metric != b.metric:
        yield f"not comparable: A is ranked by {a.metric} and B by {b.metric}; no test was made"
    elif a.direction != b.direction:
        yield f"not comparable: A is to {a.direction} its {a.metric} and B to {b.direction} it; no test was made"


def _data(a: Stage, b: Stage) -> Iterator[str]:
    unknown = [side for side, stage in (("A", a), ("B", b)) if not stage.fingerprint]
    if unknown:
        yield f"which data {' and '.join(unknown)} saw is not known, so a difference may be the data's"
    elif a.fingerprint != b.fingerprint:
        sizes = [f"{stage.sizes.get('train', '?')} + {stage.sizes.get('validation', '?')} images" for stage in (a, b)]
        yield f"not comparable: the data differ ({sizes[0]} in A, {sizes[1]} in B); a difference may be the data's"


def _budgets(a: Sequence[Stage], b: Sequence[Stage]) -> Iterator[str]:
    epochs = [stage.settings.get("epochs") for stage in (a[0], b[0])]
    if None not in epochs and epochs[0] != epochs[1]:
        yield f"the budgets differ: a trial of A trains for {epochs[0]} epochs, one of B for {epochs[1]}"
    for side, stages in (("A", a), ("B", b)):
        if len(stages) > 1:
            yield f"{side} is {len(stages)} stages together; name one (such as {stages[-1].name}) to compare its ranges"


def _settings(a: Stage, b: Stage) -> Iterator[str]:
    for side, one, other in (("A", a, b), ("B", b, a)):
        names = [name for name in one.space if name not in other.space]
        if names:
            yield f"only {side} searches {', '.join(names)}"
    if a.trainable and b.trainable:
        left_out = ("name", "space", "training.epochs", "trials")
        found = [text for text in differences(a.study_file, b.study_file) if not text.startswith(left_out)]
        if found:
            more = f" and {len(found) - _MOST_DIFFERENCES} more" if len(found) > _MOST_DIFFERENCES else ""
            yield f"from A to B also: {'; '.join(found[:_MOST_DIFFERENCES])}{more}"
