"""Workers that fail where others succeed: a broken GPU, too little memory, a missing file.

A healthy worker's trials fail as often as any, so that k of them in a row do so with the k-th power of that share.
Where this is less than `_CHANCE`, the worker is at fault: it is given no more trials, and if there is no other one, the
run ends. Else one bad machine fails most of a stage, as it is done sooner than the others.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpsearch.records import Failed, Paused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hpsearch.records import Outcome
    from hpsearch.store import Counts

_CHANCE = 1e-8  # of the failures in a row of a healthy worker; small, as every failure is such a trial


@dataclass(slots=True)
class _Worker:
    good: int = 0
    failed: int = 0
    in_a_row: list[Failed] = field(default_factory=list)
    suspected: bool = False


class Quarantine:
    """The outcomes by worker.

    Failures of trials below number ``first``, which were begun before this run, are no evidence: those that `retry`
    gave back come one after another, and may be the ones that fail.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._workers: defaultdict[str, _Worker] = defaultdict(_Worker)

    def add(self, worker: str, outcomes: Iterable[Outcome | Paused]) -> None:
        """Add what has come back from a worker, in the order of its trials."""
        of = self._workers[worker]
        for outcome in outcomes:
            if not isinstance(outcome, Failed):
                of.good += not isinstance(outcome, Paused)  # such a trial will come back once more
                of.in_a_row = []
            elif outcome.number >= self._first:
                of.failed += 1
                of.in_a_row.append(outcome)

    def suspicious(self, worker: str, counts: Counts) -> Sequence[Failed]:
        """Return the failures in a row of a worker that is at fault, once; none of any other.

        Args:
            worker: The worker.
            counts: Those of the stage, in which all other workers' trials are, those of other runs too.
        """
        of = self._workers[worker]
        good, failed = counts.complete + counts.pruned - of.good, counts.failed - of.failed
        share = (max(failed, 0) + 1) / (max(good, 0) + max(failed, 0) + 2)
        if of.suspected or good <= 0 or share ** len(of.in_a_row) >= _CHANCE:
            return ()
        of.suspected = True  # its next batch may be under way, and is no news
        return of.in_a_row
