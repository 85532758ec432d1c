"""The runner's loop: claim trials, have them evaluated, record the outcomes, until the stage has enough."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING

from hpsearch.errors import EvaluationFailure, Interrupted
from hpsearch.executors.base import Batch, Done, Event, Executor, Lost, Progress
from hpsearch.records import (
    DEVICE,
    Action,
    Failed,
    Outcome,
    Paused,
    Report,
    Sentence,
    Stage,
    Trial,
)
from hpsearch.search.batches import Batches, Cohorts
from hpsearch.search.limits import NONE, EndedBy, Ending, Limits
from hpsearch.search.quarantine import Quarantine
from hpsearch.store import Counts, Owner, Store
from hpsearch.store.leases import BEAT_EVERY_S
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hpsearch.objectives.base import Objective
    from hpsearch.search.pruning import Plan


_POLL_S = 0.25  # length of one wait for events; Ctrl-C is checked at least this often
_MOST_LEGS = 4  # batches for each worker in one claim that are trained to a first rung: other runners need some too
_SUSPICIOUS = 3  # after so many lost trials, and none that finished, the machine is at fault, not the trials


@dataclass(frozen=True, slots=True)
class Tick:
    """Progress of a run."""

    counts: Counts  # the stage's trials by state
    recorded: tuple[Outcome, ...] = ()  # outcomes recorded just now
    waiting_for_others: bool = False  # whether other runners hold all that is missing
    waiting_for_workers: bool = False  # whether there is no worker at the moment


@dataclass(frozen=True, slots=True)
class Summary:
    """The results of a run."""

    counts: Counts  # the stage's trials by state at the end
    recorded: int  # trials that this run finished
    released: int  # trials of dead runners that it gave back first
    given_back: int  # trials that it had begun and gave back because it was stopped
    lost: int  # trials that others took over, as its lease had expired; their results count
    seconds: float  # its length
    store_seconds: float  # the part of that which the runner spent in the store; workers were busy meanwhile
    ended_by: EndedBy = "trials"  # what ended it: the stage has its trials, or one of the reasons to end earlier
    reason: Sentence | None = None  # the limit or request that ended it, and the state of the stage, in words

    @property
    def stopped(self) -> bool:
        """True if a signal ended it before the stage was complete."""
        return self.ended_by == "signal"

    def words(self, name: str) -> str:
        """Return how many trials the stage or confirmation of that name has, and how many of them the run finished."""
        counts = self.counts
        ended = ", ".join(f"{n} {state}" for n, state in ((counts.pruned, "pruned"), (counts.failed, "failed")) if n)
        now = f"{self.recorded} of them now, in {self.seconds:.1f} s"
        return (
            f"{name} has {counted(counts.finished, 'finished trial')}{ended and f' ({ended})'}; "
            f"{now if self.recorded or self.ended_by != 'trials' else 'nothing was left to do'}"
        )


@dataclass(eq=False)
class Runner:
    """A loop that brings a stage to ``until`` finished trials. Several runners may work on one stage.

    Where trials were under way at its end, the executor is closed. ``stopping`` is called often, ``stop_requested``
    every few seconds; either may end the run, and so may a limit, after everything finished has been recorded.
    """

    store: Store
    stage: Stage
    objective: Objective
    executor: Executor
    _: KW_ONLY
    until: int
    lanes: int | None = None
    plan: Plan | None = None
    on_tick: Callable[[Tick], None] = lambda tick: None
    stopping: Callable[[], bool] = lambda: False
    retries: int = 0  # how often a trial is tried again that failed for a reason which is not its own
    limits: Limits = NONE
    began: float | None = None  # when the time that is limited began, of `time.monotonic`; None: when the run begins
    stop_requested: Callable[[], bool] = lambda: False
    note: Callable[[Sentence], None] = lambda text: None

    def __post_init__(self) -> None:
        self._owner = Owner.current(until=self.until)
        self._cohorts = Cohorts(self.store, self.stage, self.plan, self._owner)
        self._beaten: list[Outcome] = []
        self._batches = Batches(self.objective, executor=self.executor, lanes=self.lanes)
        self._under_way = 0
        self._ids: dict[int, int] = {}
        self._recorded = self._lost = 0
        self._broken: list[Failed] = []
        self._without = Counter[str]()  # how often in a row each worker could not have the objective
        self._dropped: list[Sentence] = []  # notes of such workers, until one can have it
        self._counts = Counts()
        self._ending = Ending(
            self.limits,
            began=self.began,
            stopping=self.stopping,
            stop_requested=self.stop_requested,
            best=lambda: self.store.columns(self.stage, top=1)["score"],
        )

    def run(self) -> Summary:
        """Run until the stage has enough finished trials, or until asked to stop.

        Raises:
            StorageFailure: The database stopped working. What was recorded stays; the rest can be run again.
            EvaluationFailure: No trial can be evaluated here, or none any more.
        """
        began, store_began = time.monotonic(), self.store.database.seconds
        self.executor.load(self.objective)
        self._quarantine = Quarantine(self.store.sampled(self.stage))
        released = self.store.release_dead(self.stage, me=self._owner)
        self._counts = self.store.counts(self.stage)
        self.on_tick(Tick(self._counts))
        try:
            with _pulse(self._beat, every=BEAT_EVERY_S) as renew:
                ended_by = self._loop(renew)
        except BaseException:
            # Best effort: what stays RUNNING is found by its owner's process and released by the next start.
            with contextlib.suppress(Exception):
                self._give_back()
            raise
        given_back = self._give_back() if self._ids else 0
        counts = self.store.counts(self.stage)
        return Summary(
            counts=counts,
            recorded=self._recorded,
            released=released,
            given_back=given_back,
            lost=self._lost,
            seconds=time.monotonic() - began,
            store_seconds=self.store.database.seconds - store_began,
            ended_by=ended_by,
            reason=self._ending.words(self.stage, counts, until=self.until, given_back=given_back, by=ended_by),
        )

    def _give_back(self) -> int:
        """Give back all trials, once no worker evaluates them: another runner may begin them, in the same folder."""
        self.executor.close(kill=True)
        return self.store.release(self.stage, owner=self._owner)

    def _beat(self) -> None:
        if ids := list(self._ids.values()):
            self.store.beat(self.stage, ids, owner=self._owner)

    def _loop(self, renew_leases: Callable[[], None]) -> EndedBy:
        while (ended := self._ending.reached()) is None:
            self._refill()
            self.executor.expect(len(self._batches.ready) + self._unclaimed())  # each trial may be a batch, if need be
            if self._broken:
                self._settle_broken()
            if self._beaten:
                self._record_beaten()
                continue
            if not self._ids and self._counts.finished >= self.until:
                return "trials"
            if not self.executor.slots:
                self._counts = self.store.counts(self.stage)  # others may finish the stage meanwhile
                self.on_tick(Tick(self._counts, waiting_for_workers=True))
            if self.executor.slots and not self._under_way and not self._broken:
                self._await_others()
            else:
                self._handle(self.executor.wait(_POLL_S))
            renew_leases()
        # Batches that have come back by now are finished, and finished trials are recorded.
        while events := self.executor.wait(0):
            self._handle(events)
        self._record_beaten()
        complete = self._counts.finished >= self.until and ended in ("signal", "stop", "timeout")
        return "trials" if complete else ended

    def _handle(self, events: Sequence[Event]) -> None:
        # Together: a claim and a count read every running trial; one of each a batch would make large clusters wait.
        points: dict[tuple[int, int], Report] = {}
        finished: list[Outcome] = []
        failing: list[str] = []  # workers
        without: dict[str, str] = {}  # why workers cannot have the objective
        self._under_way -= sum(not isinstance(event, Progress) for event in events)
        for event in events:
            match event:
                case Progress(reports):
                    points |= {(report.number, report.step): report for report in reports if report.number in self._ids}
                case Done(batch, outcomes, worker):
                    self._quarantine.add(worker, outcomes)
                    self._without[worker] = 0
                    self._batches.measure(outcomes)
                    failing += [worker] * any(isinstance(outcome, Failed) for outcome in outcomes)
                    # Paused ones wait until their rung is decided; the others are finished.
                    self._cohorts.arrive(batch.trials, [o for o in outcomes if isinstance(o, Paused)])
                    ended = [o for o in outcomes if not isinstance(o, Paused)]
                    finished += [
                        self._with_attempt(batch, o) for o in ended if not self._batches.retry(batch, o, self.retries)
                    ]
                case Lost(batch, reason, True, worker):
                    without[worker] = reason
                    self._batches.ready.append(batch)  # its trials are not at fault
                case Lost(batch, reason):
                    if not self._batches.again(batch):
                        # Keep its values at earlier rungs: others were compared with them.
                        curve = batch.paused[0].intermediate if batch.paused else ()
                        self._broken.append(Failed(batch.trials[0].number, reason, curve))
        if points:
            self.store.report(self.stage, list(points.values()), self._ids, owner=self._owner)
        if any(isinstance(event, Done) for event in events):
            # The next batches first: recording costs milliseconds in which workers would idle.
            self._refill()
            self._cohorts.write(self._ids)
        if finished:
            self._record(finished)
        for worker, reason in without.items():
            self._do_without(worker, reason)
        while self._recorded and self._dropped:
            self.note(self._dropped.pop(0))
        for worker in dict.fromkeys(failing):
            self._quarantine_if_faulty(worker)

    def _with_attempt(self, batch: Batch, outcome: Outcome) -> Outcome:
        """Return an outcome; the reason of a failure says which attempt it was, where it was not the first."""
        if self.retries and isinstance(outcome, Failed) and batch.attempt > 1:
            return replace(outcome, reason=f"{outcome.reason} (attempt {batch.attempt})")
        return outcome

    def _do_without(self, worker: str, reason: str) -> None:
        """Give a worker that cannot have the objective a few tries, then no more trials; raise if it is the only one.

        One try if nothing has been recorded: the cause is likely the same everywhere.
        """
        self._without[worker] += 1
        if self._without[worker] != (_SUSPICIOUS if self._recorded else 1):
            return
        if not self.executor.quarantine(worker):
            raise self._nothing_works(reason)
        self._dropped.append(Sentence(f"{worker} is given no more trials: {reason}"))

    def _quarantine_if_faulty(self, worker: str) -> None:
        """Give a worker no more trials if it fails where others succeed; if it is the only one, end the run."""
        if not (failures := self._quarantine.suspicious(worker, self._counts)):
            return
        action = Action("retry", {"search": self.stage.name})
        good, last = self._counts.complete + self._counts.pruned, failures[-1]
        where = f" on device {last.attributes[DEVICE]}" if DEVICE in last.attributes else ""
        text = f"the last {counted(len(failures), 'trial')}{where} failed ({last.reason}), while {good} of "
        text += f"{self.stage.name} succeeded; once the cause is fixed, `{{}}` gives the failed trials back"
        if self.executor.quarantine(worker):
            self.note(Sentence(f"{worker} is given no more trials: {text}", (action,)))
        else:
            self._ending.all_fail = Sentence(f"this run ends: {text}", (action,))

    def _refill(self) -> None:
        while self.executor.free > 0 and self._ending.reached() is None:
            if not self._batches.ready and not self._decide() and not self._claim():
                return
            self.executor.submit(self._batches.ready.popleft())
            self._under_way += 1

    def _decide(self) -> bool:
        """Put survivors of rungs into full batches again; the others are recorded by `_record_beaten`."""
        for decision in self._cohorts.decide(self._ids, until=self.until):
            self._beaten += decision.beaten
            if trials := [trial for trial, _ in decision.survivors]:
                paused = {at.number: at for _, at in decision.survivors}
                # The last leg in smaller batches: the best trials run first, and finish sooner.
                size = self._batches.size(len(trials))
                last_leg = decision.until is None and self.lanes is None
                self._add(trials, math.ceil(size / 2) if last_leg else size, until=decision.until, paused=paused)
        return bool(self._batches.ready)

    def _add(
        self, trials: Sequence[Trial], size: int, *, until: int | None, paused: Mapping[int, Paused] | None = None
    ) -> None:
        self._batches.add(trials, size, until=until, paused=paused)
        self._cohorts.send(trials, until)

    def _record_beaten(self) -> None:
        beaten, self._beaten = self._beaten, []
        if beaten:
            self._record(beaten)

    @property
    def _goal(self) -> int:
        """The number of trials that may have begun: of a refinement no more than to the end of the batch under way."""
        refined = self.stage.refinement
        if refined is None:
            return self.until
        batch: int = refined["batch"]
        return min(self.until, (self._counts.finished // batch + 1) * batch)

    def _unclaimed(self) -> int:
        """Return how many trials could be claimed now."""
        left = self._goal - self._counts.finished - self._counts.running
        return 0 if self._cohorts.crowded and not self._counts.waiting else max(left, 0)

    def _claim(self) -> bool:
        if not (left := self._unclaimed()):
            return False
        size = self._batches.size(left)
        claimed = self.store.claim(
            self.stage,
            until=self._goal,
            most=size * self.executor.free * self.objective.structures() * min(self._cohorts.first_legs, _MOST_LEGS),
            owner=self._owner,
        )
        self._counts = claimed.counts
        # A runner that slept past its lease may be given its own trials again, if nobody took them. Their batch is
        # still under way and its outcome counts, as the owner is the same.
        fresh = [trial for trial in claimed.trials if trial.number not in self._ids]
        self._ids |= {trial.number: trial.trial_id for trial in fresh}
        for rung, trials in self._cohorts.by_first_rung(fresh).items():
            self._add(trials, size, until=rung)
        return bool(self._batches.ready)

    def _record(self, outcomes: Sequence[Outcome]) -> None:
        recorded = tuple(self.store.record(self.stage, outcomes, self._ids, owner=self._owner))
        for outcome in outcomes:
            del self._ids[outcome.number]
            self._cohorts.forget(outcome.number)
        self._recorded += len(recorded)
        self._lost += len(outcomes) - len(recorded)
        self._counts = self.store.counts(self.stage)
        self._ending.add(recorded)
        self.on_tick(Tick(self._counts, recorded))

    def _settle_broken(self) -> None:
        """Record trials that cannot be evaluated; if no trial can be, raise."""
        idle = not self._under_way and not self._batches.ready
        if self._recorded or self._counts.complete or self._cohorts.waiting:
            broken, self._broken = self._broken, []
            self._record(broken)
        elif idle or len(self._broken) >= _SUSPICIOUS:
            raise self._nothing_works(self._broken[0].reason)

    def _nothing_works(self, reason: str) -> EvaluationFailure:
        return EvaluationFailure(
            f"{self.stage.name} cannot go on: {reason}; {counted(self._counts.finished, 'trial')} recorded; "
            "fix the cause and run the command again"
        )

    def _await_others(self) -> None:
        others = replace(self._counts, running=self._counts.running - len(self._ids))
        self.on_tick(Tick(others, waiting_for_others=True))
        time.sleep(_POLL_S)
        self.store.release_dead(self.stage, me=self._owner)
        self._counts = self.store.counts(self.stage)


_PATIENCE_S = 5.0  # longest wait at the end for a heartbeat that is being written


@contextlib.contextmanager
def _pulse(beat: Callable[[], None], *, every: float) -> Iterator[Callable[[], None]]:
    """Renew a runner's leases every so many seconds: in its loop, which calls the yielded function, or in a thread.

    A batch that is evaluated in the runner's own process may block the loop for longer than a lease lasts. Without the
    thread two runners would take each other's trials without end.
    """
    last, over = time.monotonic(), threading.Event()

    def tick() -> None:
        nonlocal last
        if time.monotonic() - last > every:
            beat()
            last = time.monotonic()

    def watch() -> None:
        nonlocal last
        while not over.wait(every):
            if time.monotonic() - last > 2 * every:
                with contextlib.suppress(Exception):  # the loop meets the same error and raises it
                    beat()
                last = time.monotonic()

    thread = threading.Thread(target=watch, name="hpsearch-pulse", daemon=True)
    thread.start()
    try:
        yield tick
    finally:
        over.set()
        thread.join(_PATIENCE_S)


def interrupted(stage: Stage, summary: Summary, until: int) -> Interrupted:
    """Return the error for a run that was stopped."""
    finished = summary.counts.finished
    return Interrupted(
        f"stopped: {stage.name} has {finished} of {counted(until, 'trial')}{', all recorded' if finished else ''}; "
        f"{summary.given_back} that had begun were given back. The same command goes on from here"
    )
