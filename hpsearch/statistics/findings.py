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


_UNMOVED = 1.005
"""A factor that is written as 1.00 is none."""
FAR = 0.1
"""An end is said to have moved where it lies farther than this share of the old range from where it is."""


@dataclass(frozen=True, slots=True)
class Movement:
    """How far the two ends of one narrowed range move, on the parameter's own scale.

    Args:
        low: Standard deviation of the lower end over the resamples.
        high: Of the upper one.
        low_often: Share of the resamples in which the lower end lies more than a tenth of the old range elsewhere.
        high_often: In which the upper one does.
        images: Whether images were drawn again too; otherwise trials alone, as hits on single images are not stored.
    """

    low: float
    high: float
    low_often: float
    high_often: float
    images: bool

    def sentence(self, parameter: Parameter) -> str:
        """The movement in plain words: by a factor where the range is logarithmic.

        Args:
            parameter: The range.
        """
        moves = [moved_by(parameter, by) for by in (self.low, self.high)]
        if moves[0] == moves[1]:
            return f"other {self.again} would move both ends {moves[0]}"
        return f"other {self.again} would move its low end {moves[0]}, its high end {moves[1]}"

    @property
    def again(self) -> str:
        """What was drawn again, in words."""
        return "trials and images" if self.images else "trials"


def moved_by(parameter: Parameter, by: float) -> str:
    """A distance on a parameter's own scale in words: by a factor where its range is logarithmic.

    Args:
        parameter: The range.
        by: The distance; decades on a logarithmic scale.
    """
    if not getattr(parameter, "log", False):
        return f"by {by:.2g}" if by else "not at all"
    factor = 10**by
    return (
        "not at all" if factor < _UNMOVED else f"by a factor of {factor:.2f}" if factor < 10 else f"{factor:.2g}-fold"
    )


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
        images_too: Whether images were drawn again too, not trials alone.
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
    images_too: bool = True

    @property
    def widens(self) -> bool:
        """Whether ``--expand`` makes another range of it than narrowing does without."""
        return self.expanding is not None and self.expanding != self.after

    @property
    def advised(self) -> Parameter:
        """The next range that is advised: the widened one where there is one."""
        return self.after if self.expanding is None else self.expanding

    @property
    def movement(self) -> Movement | None:
        """How far its ends move; None where nothing was resampled."""
        if self.low_moves is None or self.high_moves is None:
            return None
        often = (self.low_moves_often or 0.0, self.high_moves_often or 0.0)
        return Movement(self.low_moves, self.high_moves, *often, self.images_too)


@dataclass(frozen=True, slots=True)
class ConfirmationFinding:
    """What came of training the best trial's stage's best values again.

    Args:
        confirmation: Its name, ``mnist/confirm-03``.
        stage: The name of the stage that it confirms.
        settings: How many settings have a score.
        left: How many of its trials are still to be run; until there are none its ranking judges nothing.
        trial: The trial whose values come first; None while none has a score.
        mean: Their mean score.
        interval: Of that mean; None with fewer than two repeats.
        repeats: How often they have been trained.
        tied: Trials whose values cannot be told from the first, in order.
        compared: Whether all could be compared with the first.
        asked: How many settings and how many repeats of each it has places for.
    """

    confirmation: str
    stage: str
    settings: int
    left: int
    trial: int | None = None
    mean: float | None = None
    interval: Interval | None = None
    repeats: int = 0
    tied: tuple[int, ...] = ()
    compared: bool = True
    asked: tuple[int, int] = (0, 0)

    @property
    def complete(self) -> bool:
        """Whether it judges: all that was asked for has finished, some of it with a score."""
        return self.left == 0 and self.trial is not None


@dataclass(frozen=True, slots=True)
class EvaluationFinding:
    """The first look at the test images that came to a result, or the first one.

    Args:
        stage: The name of the stage whose values were judged.
        trial: Whose values.
        accuracy: The share of the test images that were right; None where no look ended.
        interval: Of that share.
        images: How many test images there were.
        looks: How many looks there have been.
        epochs: For how many epochs the network was trained.
        seed: With which seed.
        current: Whether it judged what the search comes to now: no later stage has been run since, or none was better.
    """

    stage: str
    trial: int
    accuracy: float | None
    interval: Interval | None
    images: int | None
    looks: int
    epochs: int | None
    seed: int | None
    current: bool

    @property
    def answers(self) -> bool:
        """Whether this is what the search comes to."""
        return self.current and self.accuracy is not None


Step = Literal["start", "expand", "narrow", "confirm", "evaluate", "pick", "use"]
"""What to do next: run trials, narrow with or without ``--expand``, confirm, evaluate, take the best trial, or use what
the test images have judged."""


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
        step: What to do next; the last sentence of the advice says it in words.
        commands: The commands of that step, ready to be typed.
        figures: Those sentences of the advice that say which figure counts.
        confirmed: What the confirmation of the best trial's stage says; None without one.
        evaluated: What the test images said; None before they were looked at.
    """

    search: str
    stage: str
    best: Best | None
    tied: tuple[int, ...]
    distinguishable: bool | None
    ranges: Mapping[str, RangeFinding] = field(default_factory=dict)
    advice: tuple[str, ...] = ()
    top: int = 5
    step: Step = "start"
    commands: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    confirmed: ConfirmationFinding | None = None
    evaluated: EvaluationFinding | None = None
