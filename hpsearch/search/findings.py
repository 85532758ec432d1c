"""What a search has taught so far and what to do next: the best trial, its ties, the ranges, and advice in words.

Nothing is decided here that another module decides: ranges and their evidence are narrowing's
(`hpsearch.search.narrowing`), ties and the corrected score are those of `hpsearch.search.best`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hpsearch.errors import NotEnoughTrials
from hpsearch.search.advice import NextStep, Standing, advice, next_step
from hpsearch.search.best import best_trial, trials_left
from hpsearch.search.evaluation import looks
from hpsearch.search.narrowing import look, to_narrow
from hpsearch.search.range_analysis import Movement
from hpsearch.search.stage import commands_for, known_confirmation, latest_with_trials
from hpsearch.statistics.intervals import Interval

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hpsearch.records import Stage
    from hpsearch.search.best import Best, BestTrial
    from hpsearch.search.narrowing import Looked
    from hpsearch.space import Parameter
    from hpsearch.store import Store


def findings(store: Store, stages: Sequence[Stage], *, top: int = 5) -> Findings:
    """What the stages of one search have taught so far.

    Args:
        store: The study database; nothing is written.
        stages: The search's stages, at least one, by number.
        top: How many of the best trials are called that; at least 2.
    """
    stage, found, ranges, top = _seen(store, stages, top, firm=True)
    tied: tuple[int, ...] = ()
    distinguishable = None
    if found is not None:
        tied = found.tied_numbers
        if found.known and len(found.tied) >= top - 1:
            distinguishable = not any(found.tied[: top - 1])
    at = _standing(store, stages, stage, found, ranges, top)
    commands = commands_for(store, stage.search)
    following = next_step(at, commands)
    sentences, figures = advice(found, at, following, commands)
    return Findings(
        search=stage.search,
        stage=stage.name,
        best=None if found is None else found.best,
        tied=tied,
        distinguishable=distinguishable,
        ranges=ranges,
        advice=sentences,
        top=top,
        step=following.step,
        commands=following.commands,
        figures=figures,
        confirmed=at.confirmed,
        evaluated=at.evaluated,
    )


def what_next(store: Store, stages: Sequence[Stage], *, top: int = 5) -> NextStep:
    """What the findings advise to do next, without the figures, which take longer.

    Args:
        store: The study database; nothing is written.
        stages: The search's stages, at least one, by number.
        top: How many of the best trials are called that; at least 2.
    """
    stage, found, ranges, top = _seen(store, stages, top, firm=False)
    return next_step(_standing(store, stages, stage, found, ranges, top), commands_for(store, stage.search))


def _seen(
    store: Store, stages: Sequence[Stage], top: int, *, firm: bool
) -> tuple[Stage, BestTrial | None, dict[str, RangeFinding], int]:
    """The stage that narrowing is about, the best trial, the next ranges, and of how many best trials these are."""
    of_search = list(stages)
    stage = to_narrow(store, of_search)
    found = best_trial(store, of_search, correcting=firm)
    counts = store.counts(stage)
    if counts.pruned and 2 <= counts.complete < top:
        top = counts.complete  # all that pruning left
    try:
        return stage, found, _ranges(look(store, of_search, stage, top=top), store, firm=firm), top
    except NotEnoughTrials:
        return stage, found, {}, top  # which the advice says


def _standing(
    store: Store,
    of_search: Sequence[Stage],
    stage: Stage,
    found: BestTrial | None,
    ranges: Mapping[str, RangeFinding],
    top: int,
) -> Standing:
    """Where the search stands, all its stages considered though only some may be looked at."""
    every = store.stages(stage.search)
    latest = latest_with_trials(store, every)
    current = {latest.name, stage.name if found is None else found.stage.name}
    return Standing(
        stages=every,
        stage=stage,
        latest=latest,
        best=None if found is None else found.stage,
        trial=None if found is None else found.best.trial,
        tied=found is not None and any(found.tied),
        counts=store.counts(stage),
        ranges=ranges,
        top=top,
        confirmed=None if found is None else confirmed(store, found.stage),
        evaluated=evaluated(store, every, current=current),
        part=len(every) > len(of_search),
    )


def _ranges(looked: Looked, store: Store, *, firm: bool) -> dict[str, RangeFinding]:
    """What narrowing would make of each parameter, and with ``firm`` how firm that is."""
    narrowing, movement = looked.narrowing, looked.movement(store) if firm else {}
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
            images_too=moves is None or moves.images,
            expanding=expanding.space[name] if expanding is not None and made.edges else None,
        )
    return found


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


def confirmed(store: Store, stage: Stage) -> ConfirmationFinding | None:
    """What the confirmation of a stage says so far; None without one.

    Args:
        store: The study database.
        stage: The stage, which is the one of the search's best trial.
    """
    there = known_confirmation(store, stage)
    if there is None:
        return None
    from hpsearch.search.ranking import ranking

    order = ranking(store, there)
    roster = there.plan
    assert roster is not None
    left = trials_left(store, there)
    if not order:
        return ConfirmationFinding(there.name, stage.name, 0, left, asked=roster.asked)
    first, others = order[0], order[1:]
    return ConfirmationFinding(
        there.name,
        stage.name,
        len(order),
        left,
        first.setting.trial,
        first.mean,
        first.interval,
        first.repeats,
        tuple(one.setting.trial for one in others if one.distinguishable is False),
        all(one.distinguishable is not None for one in others),
        roster.asked,
    )


def evaluated(store: Store, stages: Sequence[Stage], *, current: Collection[str]) -> EvaluationFinding | None:
    """What the first look at the test images that came to a result said; None before the first look.

    Args:
        store: The study database.
        stages: The search's stages.
        current: The names of the stages whose values the search comes to now; what was judged of another one is past.
    """
    every = looks(store, stages)
    if not every:
        return None
    first = next((one for one in every if "accuracy" in one), every[0])
    ends = first.get("interval")
    return EvaluationFinding(
        stage=first["stage"],
        trial=first["trial"],
        accuracy=first.get("accuracy"),
        interval=None if ends is None else Interval(ends[0], ends[1], first.get("level", 0.95)),
        images=first.get("images"),
        looks=len(every),
        epochs=first.get("epochs"),
        seed=first.get("seed"),
        current=first["stage"] in current,
    )
