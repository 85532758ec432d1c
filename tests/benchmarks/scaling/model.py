"""A model of one stage on many workers: what a round of the runner costs, and what follows for throughput. Pure.

A round takes all that has come back, writes the points, claims for every free worker, which begin, and records. Each
call of the store costs a constant, a share for each trial in it, and a share for each trial that is under way. What
heartbeats cost is left out.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from scaling.work import Work, flushes

if TYPE_CHECKING:
    from scaling.loop import Run


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
    """What the parts of a round cost, in seconds; ``engine`` is what is outside of the store, for each batch."""

    claim: Cost
    record: Cost
    counts: Cost
    report: Cost
    engine: float

    def times(self, factor: float) -> Costs:
        """The same where everything takes so many times longer."""
        claim, record, counts, report = (
            cost.times(factor) for cost in (self.claim, self.record, self.counts, self.report)
        )
        return Costs(claim, record, counts, report, self.engine * factor)


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a simulation came to.

    Args:
        rate: Trials a second.
        busy: Share of the workers' time in which they train.
        runner: Share of the runner's time in which it works.
    """

    rate: float
    busy: float
    runner: float


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
    """What the store's calls cost, in CPU seconds, from runs of several sizes."""

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
