"""Findings: what a search has shown so far, and what to do next.

Nothing is computed here that another module computes: ranges and their evidence are those of
`hpsearch.search.narrowing`, ties and the corrected score those of `hpsearch.search.best`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.errors import NotEnoughTrials
from hpsearch.records import Action, Argument, Sentence, Stage
from hpsearch.search.advice import NextStep, advice, next_step
from hpsearch.search.best import BestTrial, Overview, best_trial
from hpsearch.search.confirmation import assess
from hpsearch.search.evaluation import Evaluation, evaluations
from hpsearch.search.narrowing import analyse_ranges, stage_to_narrow
from hpsearch.search.stage import actions_for, known_confirmation, latest_with_trials
from hpsearch.serialization import to_plain
from hpsearch.store import Counts, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from hpsearch.search.range_analysis import NarrowedRange

FEW = 20  # with fewer trials an edge or a parameter without effect may be chance, and the advice says so

# Run trials, narrow with or without expanding, confirm, evaluate, take the best trial, or use the evaluated values.
Step = Literal["start", "expand", "narrow", "confirm", "evaluate", "pick", "use"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The findings of a search so far."""

    search: str
    stage: str  # the name of the stage that the ranges are about, the latest with enough trials
    best: BestTrial | None  # the best trial over all stages; None before any is complete
    tied: tuple[int, ...]  # trials of its stage that are statistically tied with it, best first, itself left out
    # whether it differs significantly from each of the others among the best ``top``; None: not known
    distinguishable: bool | None
    ranges: Mapping[str, NarrowedRange]  # the next range of each parameter; empty where there are too few trials
    advice: tuple[Sentence, ...] = ()  # conclusions and the next step, the most important first
    top: int = 5  # number of trials that are called the best
    step: Step = "start"  # the next step; the last sentence of the advice says it in words
    actions: tuple[Action, ...] = field(default=(), metadata={"json": "commands"})  # as in 0.2
    figures: tuple[Sentence, ...] = ()  # those sentences of the advice that say which figure counts
    confirmed: Overview | None = None  # the confirmation of the best trial's stage
    evaluated: Evaluation | None = None  # the first evaluation on the test set that came to a result
    of: Stage = field(repr=False)  # the stage that the ranges are about
    stages: Sequence[Stage] = field(default=(), repr=False)  # all stages of the search, by number
    latest: Stage = field(repr=False)  # the latest stage that has trials
    counts: Counts = field(default_factory=Counts, repr=False)  # of the stage's trials
    # whether only some of the search's stages are considered, so that actions must name the stage
    part: bool = field(default=False, repr=False)

    @property
    def few(self) -> bool:
        """True if there are too few trials to go by."""
        return self.counts.complete < self.top or self.counts.complete + self.counts.pruned < FEW

    @property
    def made(self) -> Stage | None:
        """The next stage, where it has been made from this one and has no trial yet."""
        last = self.stages[-1]
        return last if last.parent == self.of.number and last.number > self.latest.number else None

    def plain(self, word: Callable[[Action | Argument], str] | None = None) -> dict[str, Any]:
        """Return the findings as JSON has them; ``word`` puts actions and arguments into words."""
        plain: dict[str, Any] = to_plain(self, word=word)
        plain["ranges"] = {name: _range_fields(made) for name, made in self.ranges.items()}
        plain["confirmed"] = None if self.confirmed is None else _confirmed_fields(self.confirmed)
        return plain


def _confirmed_fields(of: Overview) -> dict[str, Any]:
    first = of.first
    return {
        "confirmation": of.confirmation.name,
        "stage": of.stage,
        "settings": len(of.ranking),
        "left": of.left,
        "trial": first and first.trial,
        "mean": first and first.mean,
        "interval": first and to_plain(first.interval),
        "repeats": first.repeats if first else 0,
        "tied": of.tied,
        "compared": of.compared,
        "asked": of.plan.size_requested,
    }


def _range_fields(made: NarrowedRange) -> dict[str, Any]:
    moves = made.movement
    return {
        "before": to_plain(made.before),
        "after": to_plain(made.after),
        "p": made.evidence,
        "at_edge": made.at_edge,
        "low_moves": moves and moves.low,
        "high_moves": moves and moves.high,
        "low_moves_often": moves and moves.low_often,
        "high_moves_often": moves and moves.high_often,
        "images_too": moves is None or moves.examples,  # as in 0.2
        "expanding": to_plain(made.widened),
    }


def findings(store: Store, stages: Sequence[Stage], *, top: int = 5) -> Findings:
    """Return what the stages of one search have shown so far; ``top`` trials, at least 2, are called the best."""
    facts = _facts(store, stages, top, firm=True)
    step = next_step(facts, actions_for(store, facts.search))
    sentences, figures = advice(facts, step)
    return replace(facts, advice=sentences, step=step.step, actions=step.actions, figures=figures)


def what_next(store: Store, stages: Sequence[Stage], *, top: int = 5) -> NextStep:
    """Return the next step of `findings` alone."""
    facts = _facts(store, stages, top, firm=False)
    return next_step(facts, actions_for(store, facts.search))


def _facts(store: Store, stages: Sequence[Stage], top: int, *, firm: bool) -> Findings:
    """Return the findings without advice; with ``firm`` also their certainty, which takes longer."""
    stage = stage_to_narrow(store, stages)
    best = best_trial(store, stages, correcting=firm)
    confirmation = None if best is None else known_confirmation(store, best.of)
    counts = store.counts(stage)
    if counts.pruned and 2 <= counts.complete < top:
        top = counts.complete  # all that pruning left
    try:
        ranges = analyse_ranges(store, stages, stage, top=top, bootstrap=firm, widen=True).ranges
    except NotEnoughTrials:  # the advice says so
        ranges = {}
    known = best is not None and best.known and len(best.ties) >= top - 1
    every = store.stages(stage.search)
    latest = latest_with_trials(store, every)
    return Findings(
        search=stage.search,
        stage=stage.name,
        best=best,
        tied=() if best is None else best.tied,
        distinguishable=not any(best.ties[: top - 1]) if best is not None and known else None,
        ranges=ranges,
        top=top,
        confirmed=None if confirmation is None else assess(store, confirmation),
        evaluated=evaluated(store, every, current={latest.name, stage.name if best is None else best.stage}),
        of=stage,
        stages=every,
        latest=latest,
        counts=counts,
        part=len(every) > len(stages),
    )


def evaluated(store: Store, stages: Sequence[Stage], *, current: Collection[str]) -> Evaluation | None:
    """Return the first evaluation that came to a result, or the first one; None before any.

    ``current`` are the stages of the search's final values so far.
    """
    every = evaluations(store, stages)
    if not every:
        return None
    first = next((evaluation for evaluation in every if evaluation.score is not None), every[0])
    return replace(first, current=first.stage in current)
