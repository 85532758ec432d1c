"""The results of a search so far, from which its checklist is answered and its next step follows."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from hpsearch.errors import NotEnoughTrials
from hpsearch.objectives import kinds
from hpsearch.search.best import BestTrial, Overview, best_trial
from hpsearch.search.budget import Budget, budget
from hpsearch.search.comparison import Comparison, against_baseline
from hpsearch.search.confirmation import assess
from hpsearch.search.curve_analysis import CurveSigns, curve_signs
from hpsearch.search.evaluation import Evaluation, evaluations
from hpsearch.search.evidence import FEW
from hpsearch.search.narrowing import Strongest, analyse_ranges, stage_to_narrow, strongest_evidence
from hpsearch.search.recommendation import Recommendation, recommend
from hpsearch.search.scientific import ScientificValues, scientific_values
from hpsearch.search.stage import actions_for, confirmation_of, known_confirmation, latest_with_trials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.records import Action, Stage
    from hpsearch.search.range_analysis import NarrowedRange, Narrowing
    from hpsearch.store import Store


ENOUGH = 80  # so many trials of 100 examples mostly see a bound that cuts off something (tests/benchmarks/edges.py)
_LEAST_ASKED = 100  # a stage that needs more trials gets at least so many


class Results:
    """The results of the stages of one search, each computed when it is first asked for: a next step needs few.

    Args:
        stages: The stages to consider.
        top: How many of the best trials to call the best; fewer where pruning has left no more.
    """

    def __init__(self, store: Store, stages: Sequence[Stage], *, top: int = 5) -> None:
        self.store, self.considered = store, stages
        self.of = stage_to_narrow(store, stages)  # the stage that the ranges are about
        self.search = self.of.search
        self.action = actions_for(store, self.search)
        self.stages = store.stages(self.search)  # all of the search, by number
        self.latest = latest_with_trials(store, self.stages)
        self.counts = store.counts(self.of)
        complete = self.counts.complete
        self.top = complete if self.counts.pruned and 2 <= complete < top else top

    @cached_property
    def best(self) -> BestTrial | None:
        """The best trial over all stages; None before any is complete."""
        return best_trial(self.store, self.considered)

    @cached_property
    def narrowing(self) -> Narrowing | None:
        """The next ranges; None where there are too few trials."""
        try:
            return analyse_ranges(self.store, self.considered, self.of, top=self.top)
        except NotEnoughTrials:
            return None

    @cached_property
    def ranges(self) -> Mapping[str, NarrowedRange]:
        """The next range of each parameter; empty where there are too few trials."""
        return {} if self.narrowing is None else self.narrowing.ranges

    @cached_property
    def evidence(self) -> Mapping[str, Strongest]:
        """The evidence of the whole search, by parameter; empty for one stage."""
        several = len(self.considered) > 1
        return strongest_evidence(self.store, self.considered, top=self.top) if several else {}

    @cached_property
    def scientific(self) -> ScientificValues | None:
        """The scientific values compared; None where there are none."""
        return scientific_values(self.store, self.considered)

    @cached_property
    def confirmed(self) -> Overview | None:
        """The confirmation of the best trial's stage; of several, the one whose first values are recommended."""
        confirmation = None if self.best is None else known_confirmation(self.store, self.best.of)
        if confirmation is None:
            return None
        own, others = assess(self.store, confirmation), self.store.confirmations(self.search)
        if own.complete and len(others) > 1 and self.recommended is not None and self.recommended.by == "confirmed":
            return assess(self.store, confirmation_of(self.store, self.recommended.of))
        return own

    @cached_property
    def evaluated(self) -> Evaluation | None:
        """The first evaluation on the test set that came to a result, or the first one; None before any."""
        every = evaluations(self.store, self.stages)
        if not every:
            return None
        first = next((evaluation for evaluation in every if evaluation.score is not None), every[0])
        current = {self.latest.name, self.of.name if self.best is None else self.best.stage}
        return replace(first, current=first.stage in current)

    @cached_property
    def recommended(self) -> Recommendation | None:
        """The values to use."""
        return recommend(self.store, self.considered)

    @cached_property
    def against_baseline(self) -> Comparison | None:
        """The comparison with the baseline; None without one."""
        return against_baseline(self.store, self.considered)

    @cached_property
    def curves(self) -> CurveSigns | None:
        """The signs in the stage's learning curves; None where there are none, or too few or too short ones."""
        if self.best is None or not self.has_curves:
            return None
        error = self.best.error if self.best.stage == self.of.name else None
        return curve_signs(self.store, self.of, error=error)

    @property
    def has_curves(self) -> bool:
        """True if the stage's trials have learning curves."""
        return kinds.trained_epochs(self.of) is not None or bool(self.store.epochs(self.of))

    @property
    def over(self) -> bool:
        """True if an evaluation on the test set has ended the search."""
        return self.evaluated is not None and self.evaluated.answers

    @property
    def level(self) -> bool:
        """True if all trials of the stage, the best among them, have the same score."""
        level = self.narrowing is not None and self.narrowing.level
        return level and self.best is not None and self.best.stage == self.of.name

    @property
    def few(self) -> bool:
        """True if there are too few trials to go by."""
        return self.counts.complete < self.top or self.counts.complete + self.counts.pruned < FEW

    @cached_property
    def forecast(self) -> Budget | None:
        """The forecast of as many trials again; None where the scores do not tell."""
        return budget(self.store, self.of)

    @cached_property
    def wanted(self) -> int | None:
        """The number of trials that the stage should have; None where it has enough, or more would tell nothing."""
        complete, twice = self.counts.complete, 2 * self.counts.finished
        level = self.narrowing is not None and self.narrowing.level
        if self.over or kinds.foreign(self.of) or (level and not self.few):
            return None
        if complete < ENOUGH:
            return max(_LEAST_ASKED, min(twice, -(-self.counts.finished * ENOUGH // max(complete, 1))))
        return twice if self.forecast is not None and self.forecast.verdict == "more" else None

    @property
    def widens(self) -> bool:
        """True if better values are seen beyond a bound that can move."""
        return any(made.widens for made in self.ranges.values())

    @property
    def longer(self) -> int | None:
        """The epochs of a stage to make next, where scores still improve at the end; None where these are enough.

        Where better values are seen beyond a bound, the range comes first: at the best values here training is slow.
        """
        epochs = kinds.trained_epochs(self.of)
        if epochs is None or self.of.number != self.latest.number or self.widens:
            return None
        return 2 * epochs if self.curves is not None and "improving" in self.curves.signs else None

    @property
    def made(self) -> Stage | None:
        """The next stage, where it has been made from this one and has no trial yet."""
        last = self.stages[-1]
        return last if last.parent == self.of.number and last.number > self.latest.number else None

    @cached_property
    def measure(self) -> Action | None:
        """The action that confirms the best trial's stage, where that is to do."""
        best, confirmed = self.best, self.confirmed
        if best is None or (confirmed is not None and not confirmed.left) or kinds.foreign(best.of):
            return None
        begun = {} if confirmed is None else confirmed.as_begun
        number = None if best.of.number == self.latest.number else best.of.number
        return self.action("confirm", **begun | {"stage": number})

    def trial(self, number: int, stage: str) -> str:
        """Return the name of a trial: with its stage, where the results are about another."""
        return f"trial {number}" if stage == self.of.name else f"{stage} trial {number}"
