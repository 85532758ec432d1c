"""Trials that only take their time, and a model of one stage of them on many workers: what follows for throughput.

A round of the runner takes all that has come back, writes the points, claims for every free worker, which begin, and
records. Each call of the store costs a constant, a share for each trial in it, and a share for each trial under way.
Heartbeats are left out. Worker processes import this module; a trial's work is a pure function of its number.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

import numpy as np

from hpsearch.executors.base import FLUSH_S
from hpsearch.records import CURVES, SECONDS, VALIDATION_LOSS, Completed, Outcome, Paused, Report, Trial
from hpsearch.space import Float, Space
from hpsearch.store import NewStage

SPACE: Space = {"lr": Float(1e-4, 1.0, log=True), "momentum": Float(0.0, 0.99)}
SPREAD = 0.5
"""Standard deviation of the logarithm of a trial's seconds: one in twenty takes 2.3 times the median or more."""
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Work:
    """The work of every trial of a stage. It is an objective too, whose workers sleep."""

    seconds: float  # median of a batch's seconds
    lanes_: int = 4  # trials to a batch
    epochs: int = 10  # points of each trial's curve

    def duration(self, number: int) -> float:
        """Seconds of the batch that begins with a trial, log-normal around `seconds`."""
        # Multiples of the golden ratio spread evenly: few batches have the mean of many, with the same spread.
        share = (0.5 + (number // self.lanes_) * _GOLDEN) % 1.0
        return self.seconds * math.exp(SPREAD * NormalDist().inv_cdf(min(max(share, 1e-4), 1 - 1e-4)))

    @property
    def mean(self) -> float:
        """Mean of a batch's seconds."""
        return self.seconds * math.exp(SPREAD**2 / 2)

    def outcome(self, number: int) -> Completed:
        """A trial's outcome, with the attributes of a network's trial of so many epochs, hits aside."""
        share = (number * _GOLDEN) % 1.0
        curve = tuple(share * step / self.epochs for step in range(1, self.epochs + 1))
        others = {name: list(curve) for name in ("train_loss", "validation_loss", "train_accuracy")}
        return Completed(number, curve[-1], curve, {CURVES: others, SECONDS: 4.125, VALIDATION_LOSS: 1 - share})

    def lanes(self, trial: Trial | None = None) -> int:
        """Trials to a batch."""
        return self.lanes_

    def structures(self) -> int:
        """One: every trial may train beside every other."""
        return 1

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        """All of them together."""
        return [list(trials)] if trials else []

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Sleep as long as the batch takes, epoch by epoch."""
        began, whole = time.monotonic(), self.duration(trials[0].number)
        outcomes = [self.outcome(trial.number) for trial in trials]
        for step in range(1, self.epochs + 1):
            time.sleep(max(0.0, began + whole * step / self.epochs - time.monotonic()))
            yield [Report(one.number, step, one.intermediate[step - 1]) for one in outcomes]
        yield outcomes


def flushes(duration: float, epochs: int) -> list[tuple[float, int]]:
    """Moments at which points of curves leave a worker before a batch is done: (seconds, up to which epoch).

    As `hpsearch.executors.base.drive` has it: at the end of an epoch, and at most every `FLUSH_S`.
    """
    found, last = [], 0.0
    for epoch in range(1, epochs + 1):
        at = duration * epoch / epochs
        if at - last >= FLUSH_S:
            found.append((at, epoch))
            last = at
    return found


def new_stage(number: int = 1) -> NewStage:
    """A stage to be run."""
    return NewStage(
        search="scale",
        number=number,
        direction="maximize",
        seed=0,
        space=SPACE,
        study_file={"name": "scale", "objective": {"metric": "validation_accuracy", "direction": "maximize"}},
        sizes={"train": 50_000, "validation": 10_000},
    )


@dataclass(frozen=True, slots=True)
class Call:
    """Calls of one method of the store in a stretch of a run."""

    times: int = 0  # how many
    items: int = 0  # of how many trials (points of curves, for ``report``)
    wall: float = 0.0  # seconds until they were done
    # CPU seconds of them, of this process and of the database's; the rest is waiting, for a disk or a core
    cpu: float = 0.0

    def __add__(self, other: Call) -> Call:
        return Call(self.times + other.times, self.items + other.items, self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Call) -> Call:
        return self + Call(-other.times, -other.items, -other.wall, -other.cpu)


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a run in which all slots are taken."""

    slots: int  # batches under way
    lanes: int  # trials in each
    trials: int  # trials recorded
    seconds: float  # how long it was
    cpu: Mapping[str, float]  # CPU seconds by process
    calls: Mapping[str, Call]  # calls of the store, by method
    # how long batches that were done waited for the runner: the median, and the 95th of 100
    late_s: tuple[float, float] = (0.0, 0.0)

    @property
    def rate(self) -> float:
        """Trials a second."""
        return self.trials / self.seconds

    @property
    def rate_cpu(self) -> float:
        """Trials a second of a machine that has nothing else to do: of CPU seconds, not of the clock's."""
        return self.trials / (self.cpu["runner"] + self.cpu.get("database", 0.0))

    @property
    def stretch(self) -> float:
        """How many times longer the store's calls took than their CPU seconds, as others used the cores too."""
        of = [call for call in self.calls.values() if call.times]
        return sum(call.wall for call in of) / max(sum(call.cpu for call in of), 1e-9)

    @property
    def other(self) -> float:
        """CPU seconds a batch of the runner's process outside of the store."""
        inside = sum(call.cpu for call in self.calls.values()) - self.cpu.get("database", 0.0)
        return max(self.cpu["runner"] - inside, 0.0) * self.lanes / max(self.trials, 1)


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of a call: once, for each trial (or point) in it, and for each trial that is under way."""

    once: float = 0.0
    each: float = 0.0
    under_way: float = 0.0

    def of(self, items: float, under_way: float) -> float:
        """Seconds of one call."""
        return self.once + self.each * items + self.under_way * under_way

    def times(self, factor: float) -> Cost:
        """The same where everything takes so many times longer."""
        return Cost(self.once * factor, self.each * factor, self.under_way * factor)


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of the parts of a round, in seconds; ``engine`` is what is outside of the store, for each batch."""

    claim: Cost
    record: Cost
    counts: Cost
    report: Cost
    engine: float

    def times(self, factor: float) -> Costs:
        """The same where everything takes so many times longer."""
        claim, record, counts, report = (c.times(factor) for c in (self.claim, self.record, self.counts, self.report))
        return Costs(claim, record, counts, report, self.engine * factor)


@dataclass(frozen=True, slots=True)
class Simulated:
    """The result of a simulation."""

    rate: float  # trials a second
    busy: float  # share of the workers' time in which they train
    runner: float  # share of the runner's time in which it works


def fit(samples: Sequence[tuple[float, float, float]]) -> Cost:
    """The cost that comes closest to measured calls, in relative terms.

    Args:
        samples: Trials in the call, trials under way, and its seconds.
    """
    if not samples:
        return Cost()
    items, under_way, seconds = (np.array(column, dtype=float) for column in zip(*samples, strict=True))
    columns = np.stack([np.ones_like(items), items, under_way], axis=1) / seconds[:, None]
    found = np.zeros(3)
    used = [0, 1, 2] if len(samples) > 2 else [0]
    while used:  # a negative cost is no cost: without it
        part, *_ = np.linalg.lstsq(columns[:, used], np.ones(len(samples)), rcond=None)
        if (part >= 0).all():
            found[used] = part
            break
        used.remove(used[int(np.argmin(part))])
    return Cost(*found.tolist())


def costs(runs: Sequence[Run]) -> Costs:
    """Costs of the store's calls, in CPU seconds, from runs of several sizes."""

    def of(name: str) -> Cost:
        calls = [(run.calls[name], run.slots * run.lanes) for run in runs]
        return fit([(c.items / c.times, under_way, c.cpu / c.times) for c, under_way in calls if c.times])

    # The median: a heartbeat of all trials under way, one in ten seconds, falls into some of the stretches.
    engine = median(run.other for run in runs if run.trials)
    return Costs(of("claim"), of("record"), of("counts"), of("report"), engine)


def simulate(work: Work, slots: int, of: Costs, *, batches: int) -> Simulated:
    """One runner and so many workers, until so many batches are recorded; the first fifth of the time is left out.

    Args:
        work: What each batch takes.
        slots: Workers; each has one batch at a time.
        of: What the runner's rounds cost.
        batches: How many.
    """
    due: list[tuple[float, int, int]] = []  # time, batch, points that leave then; 0: it is done
    number, now, recorded = 0, 0.0, 0
    busy = worked = 0.0
    log: list[tuple[float, int, float, float]] = []
    lanes, under_way = work.lanes_, slots * work.lanes_

    def begin(at: float) -> None:
        nonlocal number, busy
        whole, before = work.duration(number * lanes), 0
        for later, epoch in flushes(whole, work.epochs):
            heapq.heappush(due, (at + later, number, (epoch - before) * lanes))
            before = epoch
        heapq.heappush(due, (at + whole, number, 0))
        number += 1
        busy += whole

    for _ in range(slots):
        begin(now)
    while recorded < batches:
        now = max(now, due[0][0])
        points = done = 0
        began = now
        while due and due[0][0] <= now:
            came = heapq.heappop(due)[2]
            points, done = points + came, done + (came == 0)
        if points:
            now += of.report.of(points, under_way)
        if done:
            now += of.claim.of(done * lanes, under_way) + done * of.engine
            for _ in range(done):
                begin(now)
            now += of.record.of(done * lanes, under_way) + of.counts.of(1, under_way)
        recorded += done
        worked += now - began
        log.append((now, recorded, busy, worked))
    first = next(entry for entry in log if entry[0] >= now / 5)
    last = log[-1]
    seconds = last[0] - first[0]
    if seconds <= 0:
        return Simulated(math.nan, math.nan, math.nan)
    return Simulated(
        rate=(last[1] - first[1]) * lanes / seconds,
        busy=min((last[1] - first[1]) * work.mean / (seconds * slots), 1.0),
        runner=(last[3] - first[3]) / seconds,
    )
