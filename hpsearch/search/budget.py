"""The budget of a stage: whether it had enough trials, and what more would bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hpsearch.records import Sentence
from hpsearch.search.noise import error_of_first, score_bounds
from hpsearch.statistics.budget import Forecast, Tail, tail_of
from hpsearch.text import counted, decimals

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from hpsearch.records import Direction, Stage
    from hpsearch.store import Store


@dataclass(frozen=True, slots=True)
class Budget:
    """The forecast of further trials from a stage's ranges."""

    stage: str
    finished: int  # trials, with those that failed or were pruned
    direction: Direction
    metric: str
    forecast: Forecast  # of as many trials again
    error: float | None  # one standard error of the best score; None where the noise is not known

    @property
    def verdict(self) -> Literal["enough", "more"] | None:
        """Enough if the expected gain is below the best score's standard error; None where that is unknown."""
        if self.error is None:
            return None
        return "enough" if self.forecast.gain < self.error else "more"

    @property
    def sentence(self) -> Sentence:
        """The forecast in words, and how it compares with the noise of a score."""
        words = f"{counted(self.forecast.more, 'more trial')} of {self.stage}: best {self.metric.replace('_', ' ')} "
        words += forecast_words(self.forecast, self.direction)
        if self.error is not None:
            than = "less than" if self.verdict == "enough" else "more than"
            words += f"; {than} one standard error of a score, {self.error:.2g}"
        return Sentence(words)


def budget(store: Store, stage: Stage) -> Budget | None:
    """Return the forecast of as many trials of a stage again; None where its scores do not tell."""
    scores = store.scores(stage)["score"]
    finished = store.counts(stage).finished
    tail = stage_tail(stage, scores, finished)
    if tail is None:
        return None
    error = error_of_first(store, stage, store.columns(stage, top=1))
    return Budget(stage.name, finished, stage.direction, stage.metric, tail.forecast(finished), error)


def stage_tail(stage: Stage, scores: ArrayLike, finished: int) -> Tail | None:
    """Return the tail of a stage's scores, of which the higher are the better in it; None where they do not tell.

    Trials that a refinement proposed are not sampled independently, so they do not.
    """
    if stage.refinement is not None:
        return None
    sign = 1.0 if stage.direction == "maximize" else -1.0
    values = sign * np.asarray(scores, dtype=float)
    most = max(sign * bound for bound in score_bounds(stage))
    return tail_of(values[np.isfinite(values)], finished, most=most)


def forecast_words(of: Forecast, direction: Direction) -> str:
    """Return the change of the best score by a forecast: ``+0.003 (0.000 to 0.008)``, ``-0.003 (-0.008 to 0.000)``."""
    sign, digits = 1.0 if direction == "maximize" else -1.0, decimals(of.interval.high)
    low, high = sorted(sign * end for end in (of.interval.low, of.interval.high))
    return f"{sign * of.gain:+.{digits}f} ({low:z.{digits}f} to {high:z.{digits}f})"
