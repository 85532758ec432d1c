"""What a search has found, and how sure that is: plain records for the terminal, the report and programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.space import Parameter, Value
    from hpsearch.statistics.intervals import Interval

CLEAR, WEAK = 0.01, 0.05
"""Evidence at or below these p-values is called clear, or some."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best trial of a search and what its score is worth.

    Args:
        stage: The stage's name, ``mnist/stage-01``.
        trial: The trial's number in it.
        score: Its score as measured.
        interval: Wilson's interval of that score, as if the trial had not been chosen for it; None where the metric
            is no share of images, or their number is not known.
        corrected: The score without the winner's curse: what the best trial of such a selection is worth on images
            that had no part in choosing it. None where the hits on single images are not stored.
        corrected_interval: That value's interval; None likewise.
        params: The trial's drawn values by name.
        images: How many validation images scored it; None: not known.
        metric: ``validation_accuracy`` or ``validation_loss``.
    """

    stage: str
    trial: int
    score: float
    interval: Interval | None
    corrected: float | None
    corrected_interval: Interval | None
    params: Mapping[str, Value]
    images: int | None = None
    metric: str = "validation_accuracy"


@dataclass(frozen=True, slots=True)
class RangeFinding:
    """What narrowing would make of one parameter's range, and how firm that is.

    Movements are standard deviations on the parameter's own scale (``log10`` where it is logarithmic), over a
    bootstrap of trials and images; None for choices, or where nothing was resampled.

    Args:
        before: The range that the trials were drawn from.
        after: The narrowed range.
        p: Probability that the best trials lie this close together if the parameter does not matter; None where
            fewer than two of the best trials use it.
        at_edge: The bound towards which the score still rises; the first where both are.
        low_moves: By how much the lower end moves.
        high_moves: By how much the upper end moves.
        low_moves_often: The share of resamples in which the lower end moves by more than a tenth of the old range.
        high_moves_often: The share in which the upper end does.
        expanding: The range with the pressed bounds moved outwards, as ``narrow --expand`` would; None: no edge.
    """

    before: Parameter
    after: Parameter
    p: float | None
    at_edge: Literal["low", "high"] | None
    low_moves: float | None
    high_moves: float | None
    low_moves_often: float | None = None
    high_moves_often: float | None = None
    expanding: Parameter | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What was learned so far.

    Args:
        search: The search's name.
        stage: The name of the stage that the ranges are about, the latest with enough trials.
        best: The best trial over all stages; None before any has finished.
        tied: Numbers of that trial's stage that cannot be told from it, best first, itself left out.
        distinguishable: Whether the best trial can be told from each of the others among the best ``top`` of its
            stage; None where that cannot be asked.
        ranges: What narrowing would make of each parameter; empty where there are too few trials.
        advice: What to make of it and what to do next, sentences for people, the most important first.
        top: How many trials were called the best.
    """

    search: str
    stage: str
    best: Best | None
    tied: tuple[int, ...]
    distinguishable: bool | None
    ranges: Mapping[str, RangeFinding] = field(default_factory=dict)
    advice: tuple[str, ...] = ()
    top: int = 5
