"""The noise of scores, by what trials keep: hits on examples, scores on folds, or standard errors.

Without any of these it is not known, and nothing that needs it is said. Without NumPy, as quick commands show ties.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from hpsearch.objectives import kinds
from hpsearch.records import FOLDS, HITS, REPEATS, STD_ERROR, Stage
from hpsearch.statistics.folds import (
    corrected_best,
    corrected_error,
    error_interval,
    split_ratio,
    upper_p,
    welch_freedom,
)
from hpsearch.statistics.hits import corrected_share, matching, paired_p, unpaired_p
from hpsearch.statistics.intervals import MOST_FREEDOM, Interval, share_error, wilson, wilson_of_share
from hpsearch.text import counted

if TYPE_CHECKING:
    from hpsearch.store import Store
    from hpsearch.store.queries import Columns

_LEAST = 10  # with fewer examples no score is corrected for selection
REPORTING = 0.9  # share of trials that must report their noise for what is said of all; the others then are as these
_SHARES = ("accuracy", "average_precision", "balanced_accuracy", "f1", "jaccard", "precision", "recall", "roc_auc")
_BOUNDS = (  # the least and the most that metrics with names of scikit-learn can be, by the beginnings of these
    (_SHARES, (0.0, 1.0)),
    (("r2", "explained_variance", "d2_"), (-math.inf, 1.0)),
    (("neg_",), (-math.inf, 0.0)),
)
# Both have the same methods, described in the first; trials are known by their numbers.
Noise: TypeAlias = "HitNoise | MeasuredNoise"


@dataclass(frozen=True, slots=True)
class HitNoise:
    """The noise of scores that are shares of examples."""

    examples: int
    scores: Mapping[int, float]
    hits: Mapping[int, int]  # as whole numbers; of some trials they may be missing

    @property
    def words(self) -> str:
        """By what trials are compared: ``on 100 examples``."""
        return f"on {self.examples} examples"

    def error(self, trial: int) -> float | None:
        """Return one standard error of a trial's score; None: not known."""
        return share_error(self.scores[trial], self.examples)

    def interval(self, trial: int) -> Interval | None:
        """Return the 95 % interval of a trial's score, as if it had not been chosen for it; None: not known."""
        return wilson(round(self.scores[trial] * self.examples), self.examples)

    def p(self, best: int, other: int) -> float | None:
        """Return the one-sided p-value that another trial is as good as the best; None: not known."""
        if self.paired(best, other):
            return paired_p(self.hits[best], self.hits[other])
        return unpaired_p(self.scores[best], self.scores[other], self.examples)

    def paired(self, best: int, other: int) -> bool:
        """Return whether both are compared on the same examples or folds."""
        return best in self.hits and other in self.hits

    def corrected(self, rivals: Sequence[Noise], best: int, *, most: int, seed: int) -> tuple[float, Interval] | None:
        """Return the best trial's score corrected for selection among all trials of these; None: not known."""
        of_hits = [rival for rival in rivals if isinstance(rival, HitNoise)]
        if self.examples < _LEAST or any(len(of.hits) < len(of.scores) for of in of_hits):
            return None
        every = sorted((hits for of in of_hits for hits in of.hits.values()), key=int.bit_count, reverse=True)
        share = corrected_share(every[:most], self.examples, seed=seed)
        return share, wilson_of_share(share, self.examples)


@dataclass(frozen=True, slots=True)
class MeasuredNoise:
    """The noise of scores of any kind, by the scores on folds or the standard errors that trials report."""

    scores: Mapping[int, float]
    sign: float  # 1 where a high score is good, else -1
    folds: Mapping[int, Sequence[float]]  # those that belong to the scores
    ratio: float  # `hpsearch.statistics.folds.split_ratio`
    errors: Mapping[int, tuple[float, float]]  # standard errors with their degrees of freedom, also those by folds
    bounds: tuple[float, float] = (-math.inf, math.inf)  # the least and the most that a score can be

    @property
    def words(self) -> str:
        if not self.folds:
            return "by their standard errors"
        return f"on {counted(len(next(iter(self.folds.values()))), 'fold')}"

    def error(self, trial: int) -> float | None:
        return self.errors[trial][0] if trial in self.errors else None

    def interval(self, trial: int) -> Interval | None:
        return self._interval(self.scores[trial], trial) if trial in self.errors else None

    def _interval(self, score: float, trial: int) -> Interval:
        ends, (least, most) = error_interval(score, *self.errors[trial]), self.bounds
        return Interval(max(ends.low, least), min(ends.high, most)) if least <= score <= most else ends

    def p(self, best: int, other: int) -> float | None:
        if self.paired(best, other):
            gains = [self.sign * (a - b) for a, b in zip(self.folds[best], self.folds[other], strict=True)]
            return upper_p(math.fsum(gains) / len(gains), corrected_error(gains, self.ratio), len(gains) - 1)
        if best not in self.errors or other not in self.errors:
            return None
        (a, of_a), (b, of_b) = self.errors[best], self.errors[other]
        gain = self.sign * (self.scores[best] - self.scores[other])
        return upper_p(gain, math.hypot(a, b), welch_freedom((a, of_a), (b, of_b)))

    def paired(self, best: int, other: int) -> bool:
        return best in self.folds and other in self.folds and len(self.folds[best]) == len(self.folds[other])

    def corrected(self, rivals: Sequence[Noise], best: int, *, most: int, seed: int) -> tuple[float, Interval] | None:
        of_folds = [rival for rival in rivals if isinstance(rival, MeasuredNoise)]
        every = [folds for of in of_folds for folds in of.folds.values()]
        known = best in self.folds and {len(folds) for folds in every} == {len(self.folds[best])}
        if not known or len(every) < REPORTING * sum(len(of.scores) for of in of_folds):
            return None
        score = corrected_best(every, sign=self.sign)
        return score, self._interval(score, best)


def noise_of(store: Store, stage: Stage, columns: Columns) -> Noise | None:
    """Return the noise of some of a stage's trials, whose columns have the ``hits``; None where nothing is known."""
    scores: dict[int, float] = dict(zip(columns["number"], columns["score"], strict=True))
    examples = kinds.examples(stage)
    if examples is None:
        return measured(store, stage, scores)
    if not scores or not 0 <= next(iter(scores.values())) <= 1:
        return None
    return HitNoise(examples, scores, hits_of(columns, examples))


def error_of_first(store: Store, stage: Stage, columns: Columns) -> float | None:
    """Return one standard error of the score of the first of these trials; None without one, or if it is not known."""
    first = {"number": columns["number"][:1], "score": columns["score"][:1], HITS: [None] * len(columns["number"][:1])}
    noise = noise_of(store, stage, first)
    return None if noise is None else noise.error(*first["number"])


def hits_of(columns: Columns, examples: int) -> dict[int, int]:
    """Return the stored hits of trials that match their scores, as whole numbers, by trial number.

    A trial whose hits are missing, of other examples or of another epoch than its score is left out.
    """
    trials = zip(columns["number"], columns["score"], columns[HITS], strict=True)
    hits = ((number, matching(text, examples, score)) for number, score, text in trials)
    return {number: of_trial for number, of_trial in hits if of_trial is not None}


def measured(store: Store, stage: Stage, scores: Mapping[int, float]) -> MeasuredNoise | None:
    """Return the noise of scores by the folds or standard errors that trials report; None where none does."""
    folds, ratio = folds_of(store, stage, scores)
    errors = {number: (corrected_error(of, ratio), len(of) - 1.0) for number, of in folds.items()}
    errors |= _reported(store, stage, scores.keys() - folds.keys())
    sign = 1.0 if stage.direction == "maximize" else -1.0
    return MeasuredNoise(scores, sign, folds, ratio, errors, score_bounds(stage)) if errors else None


def score_bounds(stage: Stage) -> tuple[float, float]:
    """Return the least and the most that a stage's scores can be."""
    if kinds.examples(stage) is not None:
        return 0.0, 1.0
    if stage.metric == "score" and "estimator" in stage.study_file.get("objective", {}):
        return -math.inf, 1.0  # accuracy or R^2
    known = (bounds for names, bounds in _BOUNDS if stage.metric.startswith(names))
    return next(known, (-math.inf, math.inf))


def folds_of(store: Store, stage: Stage, scores: Mapping[int, float]) -> tuple[dict[int, Sequence[float]], float]:
    """Return the scores on folds of the trials that have them, and the `split_ratio` of these folds.

    Those between whose lowest and highest the score does not lie belong to something else, and are left out.
    """
    stored = store.attribute(stage, scores, FOLDS)
    folds = {number: of for number, of in stored.items() if _belong(of, scores[number])}
    least = min(map(len, folds.values()), default=2)
    return folds, split_ratio(least, stage.sizes.get("train"), stage.sizes.get("validation"))


def _belong(folds: object, score: float) -> bool:
    if not isinstance(folds, list) or len(folds) < 2 or not all(map(_is_finite, folds)):
        return False
    slack = 1e-9 * max(map(abs, folds))
    return bool(min(folds) - slack <= score <= max(folds) + slack)


def _is_finite(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]  # mypy narrows no ``type``


def _reported(store: Store, stage: Stage, numbers: set[int]) -> Iterator[tuple[int, tuple[float, float]]]:
    repeats = store.attribute(stage, numbers, REPEATS)
    for number, error in store.attribute(stage, numbers, STD_ERROR).items():
        if _is_finite(error) and error >= 0:
            yield number, (error, max(len(repeats[number]) - 1, 1) if number in repeats else MOST_FREEDOM)
