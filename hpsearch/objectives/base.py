"""The seam between a search and what it optimises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hpsearch.records import Outcome, Paused, Report, Trial


class Objective(Protocol):
    """Turns trials into outcomes. It is sent to worker processes, so it can be pickled and loads quickly."""

    def lanes(self, trial: Trial | None = None) -> int:
        """How many trials of this one's structure are best evaluated together (of the space's largest: None)."""

    def structures(self) -> int:
        """How many structures the space holds, about; trials of different structure are evaluated apart."""

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        """The trials by structure, in order of their numbers; each list may be evaluated together."""

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Evaluate trials of one structure, to the end or up to an epoch.

        A trial's outcome depends on its number and values alone, never on the trials beside it nor on pauses.

        Args:
            trials: The trials.
            until: The epoch to pause at, before the last one; None: none.
            paused: What an earlier call gave for each of the trials, all at one epoch; empty: begin at the start. An
                objective that cannot go on from there leaves `Paused.state` out and begins at the start again.

        Yields:
            Points of learning curves as they come, and for each trial exactly one outcome or, at ``until``, one
            pause. An objective that cannot pause at all gives its outcomes.
        """
