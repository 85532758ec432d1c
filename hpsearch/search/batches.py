"""The trials of a runner between claim and outcome: batches that are ready for a worker, and trials at rungs."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpsearch.executors.base import Batch, Executor
from hpsearch.records import (
    ENDED,
    NOT_ITS_FAULT,
    SECONDS,
    Outcome,
    Paused,
    Pruned,
    Report,
    Stage,
    Standing,
    Trial,
)
from hpsearch.search.pruning import Median, Plan, halving_survivors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hpsearch.objectives.base import Objective
    from hpsearch.store import Counts, Owner, Store

_BATCH_S = 1.0  # the work in a batch of trials that gain nothing from being together
_ATTEMPTS = 2  # number of times that a trial may kill its worker, alone in a batch, before it fails


class Batches:
    """A queue of batches; ``lanes`` trials to each, or what the objective and the trials left make best."""

    def __init__(self, objective: Objective, *, executor: Executor, lanes: int | None) -> None:
        self._objective, self._executor, self._lanes = objective, executor, lanes
        self.ready: deque[Batch] = deque()
        self._next_key = 0
        self._independent = 1  # how many trials make `_BATCH_S`, as far as that is known

    def _most(self, trial: Trial | None = None) -> int:
        """Return how many trials of this one's structure are best put into a batch."""
        lanes = self._objective.lanes(trial)
        return min(self._independent, lanes) if self._objective.independent else lanes

    def measure(self, outcomes: Sequence[Outcome | Paused]) -> None:
        """Learn from a batch that has come back how long a trial takes.

        By its longest trial, and at most four times as many as before: a batch is recorded only as a whole, and after
        quick trials, such as failures, slow ones may come.
        """
        longest = max((outcome.attributes.get(SECONDS, _BATCH_S) for outcome in outcomes), default=_BATCH_S)
        self._independent = max(1, min(4 * self._independent, int(_BATCH_S / max(longest, 1e-6))))

    def size(self, left: int) -> int:
        """Return how many trials to put into a batch, with so many left to evaluate."""
        if self._lanes is not None:
            return self._lanes
        # As many rounds as full batches need, all of the same size: no worker ends long after the others.
        slots = max(self._executor.slots, 1)
        rounds = math.ceil(left / (slots * self._most()))
        return math.ceil(left / (slots * rounds))

    def add(
        self, trials: Sequence[Trial], size: int, *, until: int | None, paused: Mapping[int, Paused] | None = None
    ) -> None:
        """Put trials into batches of at most ``size``, of one structure each; ``paused`` says where each stands."""
        for group in self._objective.group(trials):
            most = min(size, self._lanes or self._most(group[0]))
            for start in range(0, len(group), most):
                some = tuple(group[start : start + most])
                self._add(some, until=until, paused=tuple(paused[t.number] for t in some) if paused else ())

    def again(self, batch: Batch) -> bool:
        """Queue a batch again whose worker died; False for a single trial that has used up its attempts."""
        # Split, so that a trial that kills its worker is soon alone in its batch.
        if len(batch.trials) > 1:
            for position, trial in enumerate(batch.trials):
                self._add((trial,), until=batch.until, paused=batch.paused[position : position + 1])
        elif batch.attempt < _ATTEMPTS:
            self._add(batch.trials, attempt=batch.attempt + 1, until=batch.until, paused=batch.paused)
        else:
            return False
        return True

    def retry(self, batch: Batch, outcome: Outcome, retries: int) -> bool:
        """Queue a trial again, alone, that failed through no fault of its own; False for others, or with none left."""
        if batch.attempt > retries or outcome.attributes.get(ENDED) not in NOT_ITS_FAULT:
            return False
        at = next(i for i, trial in enumerate(batch.trials) if trial.number == outcome.number)
        trials, paused = batch.trials[at : at + 1], batch.paused[at : at + 1]
        self._add(trials, attempt=batch.attempt + 1, until=batch.until, paused=paused)
        return True

    def _add(
        self, trials: tuple[Trial, ...], *, attempt: int = 1, until: int | None, paused: tuple[Paused, ...]
    ) -> None:
        self.ready.append(Batch(self._next_key, trials, attempt, until, paused))
        self._next_key += 1


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision at a rung about a runner's own trials."""

    survivors: tuple[tuple[Trial, Paused], ...]  # best first
    until: int | None  # the epoch up to which they go on; None: to the end
    beaten: tuple[Pruned, ...]


@dataclass(slots=True)
class _Rung:
    """This runner's trials of one cohort at one rung."""

    members: range
    epoch: int
    waiting: dict[int, tuple[Trial, Paused]] = field(default_factory=dict)


class Cohorts:
    """The rungs of one runner's trials.

    Several runners may share a cohort, through the database: each writes its trials' values at a rung, and decides
    about its own trials once every member has finished, or has a value there. As `hpsearch.search.pruning` decides by
    those values alone, all decide alike.
    """

    def __init__(self, store: Store, stage: Stage, plan: Plan | None, owner: Owner) -> None:
        self._store, self._stage, self._plan, self._owner = store, stage, plan, owner
        self._rungs: dict[tuple[int, int], _Rung] = {}
        self._known: dict[int, tuple[float, ...]] = {}  # the curve of each unfinished trial as far as its last rung
        self._unwritten: set[int] = set()  # those of them that other runners do not know yet
        self._heading: dict[int, int] = {}  # the rung that each trial under way is trained up to, by number
        self._median: Median | None = None
        self._added = 0  # the trials below this number are finished, and the median rule has them

    @property
    def waiting(self) -> int:
        """Number of trials that wait at a rung."""
        return sum(len(rung.waiting) for rung in self._rungs.values())

    @property
    def crowded(self) -> bool:
        """True if so many wait that no new ones should begin: each keeps its state in memory meanwhile."""
        return self._plan is not None and self.waiting >= 2 * self._plan.cohort

    @property
    def first_legs(self) -> int:
        """Number of trials that are trained to their first rung in the time of one that is trained to the end."""
        return 1 if self._plan is None else self._plan.epochs // self._plan.rungs[0]

    def by_first_rung(self, trials: Iterable[Trial]) -> dict[int | None, list[Trial]]:
        """Return trials that begin, by the first rung of each; None: it runs to the end."""
        by_rung: dict[int | None, list[Trial]] = {}
        for trial in trials:
            rung = None if self._plan is None else self._plan.next_rung(trial.number)
            by_rung.setdefault(rung, []).append(trial)
        return by_rung

    def send(self, trials: Iterable[Trial], until: int | None) -> None:
        """Record that trials are trained up to a rung; None: to the end."""
        if until is not None:
            self._heading |= {trial.number: until for trial in trials}

    def forget(self, number: int) -> None:
        """Record that a trial is finished."""
        self._heading.pop(number, None)
        self._known.pop(number, None)

    def arrive(self, trials: Sequence[Trial], paused: Sequence[Paused]) -> None:
        """Add the trials of a batch that paused at a rung; call `write` afterwards."""
        of_number = {trial.number: trial for trial in trials}
        for at in paused:
            assert self._plan is not None  # without a plan nothing pauses
            self._heading.pop(at.number, None)
            members = self._plan.cohort_of(at.number)
            rung = self._rungs.setdefault((members.start, at.epoch), _Rung(members, at.epoch))
            rung.waiting[at.number] = of_number[at.number], at
            self._known[at.number] = at.intermediate
            self._unwritten.add(at.number)

    def write(self, ids: Mapping[int, int]) -> None:
        """Write the values of those that have arrived, for other runners to decide by; ``ids`` by number."""
        rungs = () if self._plan is None else self._plan.rungs
        curves = {number: self._known[number] for number in sorted(self._unwritten & self._known.keys())}
        # At all rungs so far: a runner that slept past its lease may have lost its trials and got them again, without
        # their points.
        reports = [
            Report(number, rung, curve[rung - 1])
            for number, curve in curves.items()
            for rung in rungs
            if rung <= len(curve)
        ]
        if reports:
            self._store.report(self._stage, reports, ids, owner=self._owner)
        self._unwritten = set()

    def decide(self, ids: Mapping[int, int], *, until: int) -> list[Decision]:
        """Decide every rung that can be decided by now; ``ids`` by number."""
        ready = [key for key, rung in sorted(self._rungs.items()) if not self._coming(rung)]
        if not ready or self._plan is None:
            return []
        counts = self._store.counts(self._stage)
        decisions = [self._decide(self._plan, key, counts, ids, until) for key in ready]
        return [decision for decision in decisions if decision is not None]

    def _coming(self, rung: _Rung) -> bool:
        """Return whether trials of this runner are still on their way to a rung."""
        return any(number in rung.members and to <= rung.epoch for number, to in self._heading.items())

    def _decide(
        self, plan: Plan, key: tuple[int, int], counts: Counts, ids: Mapping[int, int], until: int
    ) -> Decision | None:
        rung = self._rungs[key]
        if plan.rule == "halving":
            survivors = self._halve(plan, rung, counts, ids, until)
        else:
            survivors = self._better(plan, rung, counts, until)
        if survivors is None:
            return None
        del self._rungs[key]
        own = {number: at.intermediate[-1] for number, (_, at) in rung.waiting.items()}
        sign = -1.0 if self._stage.direction == "maximize" else 1.0
        order = sorted(own, key=lambda number: (sign * own[number], number))
        return Decision(
            survivors=tuple(rung.waiting[number] for number in order if number in survivors),
            until=plan.next_rung(rung.members.start, rung.epoch),
            beaten=tuple(rung.waiting[number][1].pruned() for number in sorted(own) if number not in survivors),
        )

    def _halve(self, plan: Plan, rung: _Rung, counts: Counts, ids: Mapping[int, int], until: int) -> set[int] | None:
        """Return the survivors among a whole cohort; None while the value of one that comes to this rung is unknown."""
        standings = self._store.standings(self._stage, rung.members, rung.epoch)
        if counts.rows < until and not (standings and standings[-1].number == rung.members[-1]):
            return None  # some members of the cohort have not begun
        own = {
            number: curve[rung.epoch - 1]
            for number, curve in self._known.items()
            if number in rung.members and len(curve) >= rung.epoch
        }
        if lost := {trial.number for trial in standings if trial.value is None} & own.keys() - self._unwritten:
            self._unwritten |= lost
            self.write(ids)
        values = {trial.number: trial.value for trial in standings if trial.value is not None} | own
        if self._awaits((trial for trial in standings if trial.number not in values), counts, until):
            return None
        return halving_survivors(values, plan.factor, self._stage.direction)

    def _better(self, plan: Plan, rung: _Rung, counts: Counts, until: int) -> set[int] | None:
        """Return the survivors by the median of earlier cohorts; None while a trial of these is unfinished."""
        if self._median is None:
            self._median = Median(plan.startup, self._stage.direction)
        while self._added < rung.members.start:
            members = plan.cohort_of(self._added)
            standings = self._store.standings(self._stage, members, plan.epochs)
            if self._awaits(standings, counts, until):
                return None
            done = [trial.number for trial in standings if trial.state == "COMPLETE"]
            curves = self._store.curves(self._stage, done)
            for _, curve in curves.groupby("number"):
                self._median.add(dict(zip(curve["step"].tolist(), curve["value"].tolist(), strict=True)))
            self._added = members.stop
        return {number for number, (_, at) in rung.waiting.items() if not self._median.prunes(at.intermediate)}

    def _awaits(self, standings: Iterable[Standing], counts: Counts, until: int) -> bool:
        """Return whether one of these trials is unfinished and will go on: a runner has it, or will be given it.

        Trials that others run with Optuna alone are not waited for, and of those that were given back only as many are
        as the stage still lacks: no more will be claimed.
        """
        unfinished = [trial for trial in standings if not trial.finished]
        if any(trial.owned for trial in unfinished):
            return True
        if not any(trial.state == "WAITING" for trial in unfinished):
            return False
        # One that was given back between the two reads is still counted as running: check again later.
        return counts.finished + counts.running < until or counts != self._store.counts(self._stage)
