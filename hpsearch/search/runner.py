"""The loop: claim trials, have them evaluated, record what came of them, until the stage has enough."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from hpsearch.errors import EvaluationFailure
from hpsearch.executors import Batch, Done, Event, Executor, Lost, Progress
from hpsearch.records import Failed, Outcome, Stage, Trial
from hpsearch.store import Counts, Owner, Store
from hpsearch.store.leases import BEAT_EVERY_S

if TYPE_CHECKING:
    from hpsearch.objectives.base import Objective

_POLL_S = 0.25
"""How long one wait for events lasts; Ctrl-C is heard at least this often."""
_ATTEMPTS = 2
"""How often a trial may take its worker down, alone, before it is given up."""
_SUSPICIOUS = 3
"""So many trials given up and none finished: the fault is the machine's, not the trials'."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What a progress display needs.

    Args:
        counts: The stage's trials by state.
        recorded: Outcomes recorded just now.
        waiting_for_others: Whether all that is missing is in other runners' hands.
    """

    counts: Counts
    recorded: tuple[Outcome, ...] = ()
    waiting_for_others: bool = False


OnTick: TypeAlias = Callable[[Tick], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    Args:
        counts: The stage's trials by state at the end.
        recorded: How many trials this run finished.
        released: How many trials of dead runners it gave back first.
        given_back: How many trials it had begun and gave back because it was stopped.
        seconds: How long it ran.
        store_seconds: How much of that the runner spent in the store; workers were busy meanwhile.
        stopped: Whether it was asked to stop before the stage was complete.
    """

    counts: Counts
    recorded: int
    released: int
    given_back: int
    seconds: float
    store_seconds: float
    stopped: bool


class Runner:
    """Brings one stage to ``until`` finished trials. Several may work on one stage at the same time.

    Args:
        store: The study database; only the runner writes to it.
        stage: The stage.
        objective: What evaluates a batch.
        executor: Where batches are evaluated. After a run that stopped early it may still be at work: close it.
        until: How many finished trials the stage is to have.
        lanes: How many trials to a batch; by default what the objective and the trials left make best.
        on_tick: Called whenever something has changed.
        stopping: Asked often; True ends the run after what is finished has been recorded.
    """

    def __init__(
        self,
        store: Store,
        stage: Stage,
        objective: Objective,
        executor: Executor,
        *,
        until: int,
        lanes: int | None = None,
        on_tick: OnTick = lambda tick: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._stage = stage
        self._objective = objective
        self._executor = executor
        self._until = until
        self._lanes = lanes
        self._on_tick = on_tick
        self._stopping = stopping
        self._owner = Owner.current()
        self._ready: deque[Batch] = deque()
        self._ids: dict[int, int] = {}
        self._next_key = 0
        self._recorded = 0
        self._broken: list[Failed] = []
        self._counts = Counts()

    def run(self) -> Summary:
        """Run until the stage has enough finished trials, or until asked to stop.

        Raises:
            StorageFailure: The database stopped working. What was recorded stays; the rest can be run again.
            EvaluationFailure: No trial at all can be evaluated here.
        """
        began, store_began = time.monotonic(), self._store.seconds
        self._executor.load(self._objective)
        released = self._store.release_dead(self._stage, me=self._owner)
        self._counts = self._store.counts(self._stage)
        self._on_tick(Tick(self._counts))
        try:
            stopped = self._loop()
        except BaseException:
            # Best effort: what stays RUNNING is found by its owner's process and released by the next start.
            with contextlib.suppress(Exception):
                self._store.release(self._stage, owner=self._owner)
            raise
        given_back = self._store.release(self._stage, owner=self._owner) if self._ids else 0
        return Summary(
            counts=self._store.counts(self._stage),
            recorded=self._recorded,
            released=released,
            given_back=given_back,
            seconds=time.monotonic() - began,
            store_seconds=self._store.seconds - store_began,
            stopped=stopped,
        )

    def _loop(self) -> bool:
        last_beat = time.monotonic()
        while not self._stopping():
            self._refill()
            if self._broken:
                self._settle_broken()
            if not self._ids:
                if self._counts.finished >= self._until:
                    return False
                self._await_others()
                continue
            for event in self._executor.wait(_POLL_S):
                self._handle(event)
            if time.monotonic() - last_beat > BEAT_EVERY_S:
                self._store.beat(self._stage, self._ids.values(), owner=self._owner)
                last_beat = time.monotonic()
        # What has come back by now is finished, and finished trials are recorded.
        while events := self._executor.wait(0):
            for event in events:
                self._handle(event)
        return self._counts.finished < self._until

    def _handle(self, event: Event) -> None:
        match event:
            case Progress(reports):
                self._store.report(self._stage, reports, self._ids, owner=self._owner)
            case Done(_, outcomes):
                # The next batch first: recording costs milliseconds in which a worker would idle.
                self._refill()
                self._record(outcomes)
            case Lost(batch, reason):
                self._retry(batch, reason)

    def _refill(self) -> None:
        while self._executor.free > 0 and not self._stopping():
            if not self._ready and not self._claim():
                return
            self._executor.submit(self._ready.popleft())

    def _claim(self) -> bool:
        left = self._until - self._counts.finished - self._counts.running
        if left <= 0:
            return False
        size = self._batch_size(left)
        claimed = self._store.claim(
            self._stage,
            until=self._until,
            most=size * self._executor.free * self._objective.structures(),
            owner=self._owner,
        )
        self._counts = claimed.counts
        # A runner that slept past its lease may be given its own trials again, if nobody took them. Their batch is
        # still under way and its outcome counts, as the owner is the same.
        fresh = [trial for trial in claimed.trials if trial.number not in self._ids]
        self._ids |= {trial.number: trial.trial_id for trial in fresh}
        for group in self._objective.group(fresh):
            most = min(size, self._lanes or self._objective.lanes(group[0]))
            for start in range(0, len(group), most):
                self._add_batch(tuple(group[start : start + most]))
        return bool(self._ready)

    def _batch_size(self, left: int) -> int:
        if self._lanes is not None:
            return self._lanes
        # As many rounds as full batches need, all of the same size: no worker ends long after the others.
        slots = self._executor.slots
        rounds = math.ceil(left / (slots * self._objective.lanes()))
        return math.ceil(left / (slots * rounds))

    def _add_batch(self, trials: tuple[Trial, ...], *, attempt: int = 1) -> None:
        self._ready.append(Batch(self._next_key, trials, attempt))
        self._next_key += 1

    def _record(self, outcomes: tuple[Outcome, ...]) -> None:
        recorded = self._store.record(self._stage, outcomes, self._ids, owner=self._owner)
        for outcome in outcomes:
            del self._ids[outcome.number]
        self._recorded += len(recorded)
        self._counts = self._store.counts(self._stage)
        self._on_tick(Tick(self._counts, tuple(o for o in outcomes if o.number in recorded)))

    def _retry(self, batch: Batch, reason: str) -> None:
        # Split, so that a trial that takes its worker down is soon alone with it.
        if len(batch.trials) > 1:
            for trial in batch.trials:
                self._add_batch((trial,))
        elif batch.attempt < _ATTEMPTS:
            self._add_batch(batch.trials, attempt=batch.attempt + 1)
        else:
            self._broken.append(Failed(batch.trials[0].number, reason))

    def _settle_broken(self) -> None:
        """Decide whether trials that cannot be evaluated are at fault, or everything here is."""
        idle = self._executor.free == self._executor.slots and not self._ready
        if self._recorded or self._counts.complete:
            broken, self._broken = self._broken, []
            self._record(tuple(broken))
        elif idle or len(self._broken) >= _SUSPICIOUS:
            raise EvaluationFailure(
                f"no trial of {self._stage.name} can be evaluated here: {self._broken[0].reason}; "
                "nothing was recorded. Mend that and start again"
            )

    def _await_others(self) -> None:
        self._on_tick(Tick(self._counts, waiting_for_others=True))
        time.sleep(_POLL_S)
        self._store.release_dead(self._stage, me=self._owner)
        self._counts = self._store.counts(self._stage)
