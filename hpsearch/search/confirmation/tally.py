"""What has come of a confirmation so far: the scores of each setting, and the settings in order of their means.

NumPy and the statistics are left to `hpsearch.search.confirmation.confirmed`: commands that show a few rows do without.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.records import Direction, Stage
    from hpsearch.roster import Setting
    from hpsearch.store import Store
    from hpsearch.store.frames import Columns


TOP, REPEATS = 5, 10
"""How many settings ``confirm`` trains again, and how often, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """What came of one setting's repeats.

    Args:
        setting: The setting.
        scores: Of the trials that have one, by repeat.
        failed: How many further repeats ended without a score.
        losses: Their validation losses, by repeat, where there are any.
        numbers: Their numbers, by repeat.
    """

    setting: Setting
    scores: Mapping[int, float]
    failed: int = 0
    losses: Mapping[int, float] = field(default_factory=dict)
    numbers: Mapping[int, int] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean score; NaN without any."""
        return fmean(self.scores.values()) if self.scores else math.nan

    @property
    def mean_loss(self) -> float:
        """The mean validation loss; infinite where that of a repeat is not known."""
        return fmean(self.losses.values()) if self.losses.keys() == self.scores.keys() and self.losses else math.inf


def tally(confirmation: Stage, columns: Columns) -> list[Repeats]:
    """The repeats of each setting, in the roster's order.

    Args:
        confirmation: The confirmation.
        columns: Its trials, as `hpsearch.store.Store.columns` gives them. One that others ran with values of their own
            is no repeat of anything, and left out.
    """
    roster = confirmation.roster
    assert roster is not None
    scores: list[dict[int, float]] = [{} for _ in roster.settings]
    losses: list[dict[int, float]] = [{} for _ in roster.settings]
    numbers: list[dict[int, int]] = [{} for _ in roster.settings]
    failed = [0] * len(roster.settings)
    for at, number in enumerate(columns["number"]):
        if number >= roster.size:
            continue
        index, repeat = roster.place(number)
        if any(columns[f"param:{name}"][at] != value for name, value in roster.settings[index].params.items()):
            continue
        score, loss = columns["score"][at], columns["validation_loss"][at]
        if columns["state"][at] == "FAIL":
            failed[index] += 1
        elif columns["state"][at] == "COMPLETE" and score is not None and math.isfinite(score):
            scores[index][repeat], numbers[index][repeat] = score, number
            if loss is not None:
                losses[index][repeat] = loss
    return [Repeats(*one) for one in zip(roster.settings, scores, failed, losses, numbers, strict=True)]


def in_order(repeats: Sequence[Repeats], direction: Direction) -> list[Repeats]:
    """Those settings that have a score, best first.

    By mean score, then lower mean validation loss, then the roster's order. One of which a repeat failed stands
    below all others: whoever takes it must expect that again.
    """
    sign = -1.0 if direction == "maximize" else 1.0
    return sorted(
        (one for one in repeats if one.scores), key=lambda one: (one.failed > 0, sign * one.mean, one.mean_loss)
    )


def not_usual(top: int, repeats: int) -> tuple[str, ...]:
    """What ``confirm`` must be told to have so many settings and repeats, where they are not those it has untold."""
    return (
        *(("--top", str(top)) if top != TOP else ()),
        *(("--repeats", str(repeats)) if repeats != REPEATS else ()),
    )


@dataclass(frozen=True, slots=True)
class Overview:
    """Where a confirmation stands.

    Args:
        confirmation: The confirmation.
        finished: How many of its trials have finished.
        failed: How many of those without a score.
        order: Its settings that have a score, best first.
    """

    confirmation: Stage
    finished: int
    failed: int
    order: tuple[Repeats, ...]

    @property
    def places(self) -> int:
        """How many trials it is to have."""
        return self.confirmation.roster.size if self.confirmation.roster else 0

    @property
    def as_begun(self) -> tuple[str, ...]:
        """The options of ``confirm`` that bring it to its end: its stage, and what is not the usual."""
        roster = self.confirmation.roster
        assert roster is not None
        return ("--stage", str(self.confirmation.number), *not_usual(*roster.asked))

    @property
    def complete(self) -> bool:
        """Whether all that was asked for has finished, and some of it with a score."""
        return self.finished >= self.places and bool(self.order)


def trials_left(store: Store, confirmation: Stage) -> int:
    """How many of a confirmation's trials have not finished."""
    return max(confirmation.roster.size - store.counts(confirmation).finished, 0) if confirmation.roster else 0


def overview(store: Store, confirmation: Stage) -> Overview:
    """Where a confirmation stands, from its trials in the database."""
    columns = store.columns(confirmation)
    states = columns["state"]
    finished = sum(state in ("COMPLETE", "FAIL", "PRUNED") for state in states)
    order = in_order(tally(confirmation, columns), confirmation.direction)
    return Overview(confirmation, finished, states.count("FAIL"), tuple(order))
