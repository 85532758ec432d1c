"""The seam between a search and what it optimises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hpsearch.records import Outcome, Report, Trial


class Objective(Protocol):
    """Turns trials into outcomes. It is sent to worker processes, so it can be pickled and loads quickly."""

    def lanes(self, trial: Trial | None = None) -> int:
        """How many trials of this one's structure are best evaluated together (of the space's largest: None)."""

    def structures(self) -> int:
        """How many structures the space holds, about; trials of different structure are evaluated apart."""

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        """The trials by structure, in order of their numbers; each list may be evaluated together."""

    def evaluate(self, trials: Sequence[Trial]) -> Iterator[Sequence[Report | Outcome]]:
        """Evaluate trials of one structure.

        Yields points of learning curves as they come and exactly one outcome for each trial. A trial's outcome
        depends on its number and values alone, never on the trials beside it.
        """
