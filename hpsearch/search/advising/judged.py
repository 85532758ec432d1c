"""What judges the values of a search beyond single scores: the confirmation of its best stage, and the test images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.search.confirmation.tally import trials_left
from hpsearch.search.evaluation import looks
from hpsearch.search.stage import known_confirmation
from hpsearch.statistics.findings import ConfirmationFinding, EvaluationFinding
from hpsearch.statistics.intervals import Interval

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hpsearch.records import Stage
    from hpsearch.store import Store


def confirmed(store: Store, stage: Stage) -> ConfirmationFinding | None:
    """What the confirmation of a stage says so far; None without one.

    Args:
        store: The study database.
        stage: The stage, which is the one of the search's best trial.
    """
    there = known_confirmation(store, stage)
    if there is None:
        return None
    from hpsearch.search.confirming import ranking

    order = ranking(store, there)
    roster = there.roster
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
