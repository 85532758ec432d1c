"""The trials of a search judged by each other: which settings are worth training again.

All finished and failed trials of stages that compare take part, and the repeats of their confirmations; see
`hpsearch.statistics.retraining`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.search.stage import comparable, known_confirmation
from hpsearch.search.surrogate import choose, gather
from hpsearch.statistics.retraining import Judged, judge

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from hpsearch.records import Setting, Stage
    from hpsearch.store import Store


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """N trials of stages whose scores compare, judged by each other: first the sampled ones, then repeats of these."""

    trials: Sequence[tuple[Stage, int]]  # (N,) the stage or confirmation, and the number there
    settings: Sequence[tuple[str, int]]  # (N,) the name of the stage, and the number there of the trial with its values
    sampled: int  # number of those that are no repeats
    scores: NDArray[np.float64]  # (N,) times ``sign``; NaN of failed trials
    sign: float  # 1 where a high score is good, else -1
    judged: Judged

    def repeats(self) -> list[int]:
        """Return the places of the repeats that have a score."""
        return [at for at in range(self.sampled, len(self.trials)) if not math.isnan(self.scores[at])]

    def best_first(self, among: Collection[str]) -> list[int]:
        """Return the places of the sampled trials with a score of some stages, by name; the most useful first."""
        places = self.judged.ranking().tolist()
        scored = [at for at in places if at < self.sampled and not math.isnan(self.scores[at])]
        return [at for at in scored if self.trials[at][0].name in among]


def judge_trials(store: Store, stages: Sequence[Stage], *, like: Stage, confirmations: bool = True) -> Judgement | None:
    """Return the trials of a search judged by each other; None with too few scores.

    Args:
        store: The database.
        stages: The stages whose trials are judged.
        like: Of these only the ones whose scores compare with this one's.
        confirmations: Include the repeats of their confirmations.
    """
    of_all = gather(store, stages, like)
    sample = choose(of_all.space, of_all.scores, of_all.params, sign=of_all.sign)
    if sample is None:
        return None
    trials, sampled = [of_all.trials[place] for place in sample.places.tolist()], len(sample.places)
    points, scores = [sample.points], [sample.sign * sample.scores]
    settings = [(stage.name, number) for stage, number in trials]
    for stage in comparable(stages, like) if confirmations else ():
        confirmation = known_confirmation(store, stage)
        if confirmation is not None:
            numbers, of, its = _repeats(store, confirmation)
            trials += [(confirmation, number) for number in numbers]
            settings += [(stage.name, setting.trial) for setting in of]
            points.append(sample.encoding.rows(stage.space, [setting.params for setting in of]))
            scores.append(sample.sign * its)
    every = np.concatenate(scores)
    judged = judge(np.concatenate(points), every, sample.encoding.groups, sampled=sampled)
    return Judgement(trials, settings, sampled, every, sample.sign, judged)


def _repeats(store: Store, confirmation: Stage) -> tuple[list[int], list[Setting], NDArray[np.float64]]:
    """Return the finished trials of a confirmation: their numbers, settings and scores, NaN of a failed one."""
    plan, columns = confirmation.plan, store.columns(confirmation, states=("COMPLETE", "FAIL"))
    assert plan is not None
    rows = [at for at, number in enumerate(columns["number"]) if number < plan.size]
    numbers = [columns["number"][at] for at in rows]
    settings = [plan.settings[plan.place(number)[0]] for number in numbers]
    # Trials that another program ran with other values say nothing about a setting.
    same = [
        all(columns[f"param:{name}"][at] == value for name, value in setting.params.items())
        for at, setting in zip(rows, settings, strict=True)
    ]
    known = [columns["score"][at] if columns["state"][at] == "COMPLETE" else None for at in rows]
    scores = np.array([math.nan if score is None or not math.isfinite(score) else score for score in known])
    kept = [at for at, is_same in enumerate(same) if is_same]
    return [numbers[at] for at in kept], [settings[at] for at in kept], scores[kept]
