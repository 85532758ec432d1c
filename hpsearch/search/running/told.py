"""What a run tells whoever watches it, and in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from hpsearch.records import Outcome
from hpsearch.store import Counts


@dataclass(frozen=True, slots=True)
class Tick:
    """What a progress display needs.

    Args:
        counts: The stage's trials by state.
        recorded: Outcomes recorded just now.
        waiting_for_others: Whether all that is missing is in other runners' hands.
        waiting_for_workers: Whether there is no worker at the moment.
    """

    counts: Counts
    recorded: tuple[Outcome, ...] = ()
    waiting_for_others: bool = False
    waiting_for_workers: bool = False


OnTick: TypeAlias = Callable[[Tick], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    Args:
        counts: The stage's trials by state at the end.
        recorded: How many trials this run finished.
        released: How many trials of dead runners it gave back first.
        given_back: How many trials it had begun and gave back because it was stopped.
        lost: How many trials it had begun and others took over, as it had not been heard of; their results hold.
        seconds: How long it ran.
        store_seconds: How much of that the runner spent in the store; workers were busy meanwhile.
        stopped: Whether it was asked to stop before the stage was complete.
    """

    counts: Counts
    recorded: int
    released: int
    given_back: int
    lost: int
    seconds: float
    store_seconds: float
    stopped: bool
