"""Progress of a search that other processes run, from a few small reads."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.objectives import kinds
from hpsearch.search.best import overview
from hpsearch.search.noise import error_of_first
from hpsearch.search.stage import stages_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hpsearch.records import Stage
    from hpsearch.store import Counts, Owner, Store
    from hpsearch.store.queries import Columns

_LATEST = 5  # number of the trials that finished last in a view
_RATE_OVER_S = 60.0
_RATE_OVER_CHANGES = 4  # the rate is that of the last minute, or of so many changes where these took longer


@dataclass(frozen=True, slots=True)
class StageView:
    """The state of a stage or confirmation."""

    stage: Stage
    counts: Counts
    # number and score of its best trial; of a confirmation the trial whose values come first so far, with their mean.
    # None before there is one.
    best: tuple[int, float] | None
    error: float | None = None  # one standard error of that score; None where it is not known, or of a mean

    @property
    def confirms(self) -> bool:
        """True if it is a confirmation."""
        return self.stage.plan is not None


@dataclass(frozen=True, slots=True)
class View:
    """The state of a search at a moment."""

    stages: tuple[StageView, ...]  # all stages, by number
    # the one that is shown in detail: the last that has a trial; or a confirmation that is running, or was while it was
    # watched, and no stage is
    shown: StageView
    until: int  # number of finished trials that it is to have, as far as can be known
    rate: float | None  # trials that finish in a second, measured while watching; None before two have been counted
    curve: tuple[float, ...]  # the scores after each epoch of its best trial
    latest: Columns  # its trials that finished last, newest first, from `hpsearch.store.Store.columns`
    runners: tuple[tuple[Owner, int], ...]  # the number of its running trials by runner
    done: bool  # whether nothing is left to wait for
    confirmations: tuple[StageView, ...] = ()  # those that are running, and the one shown

    @property
    def seconds_left(self) -> float | None:
        """Until the stage has its trials, at this rate; None where that is not known."""
        left = self.until - self.shown.counts.finished
        return left / self.rate if self.rate and left > 0 else None

    @property
    def changes(self) -> tuple[object, ...]:
        """The parts that are worth a new line where they differ from the last one's: not the time, nor the rate."""
        return (self.stages, self.confirmations, self.until, self.runners, self.done)


class Watcher:
    """A reader of a search's state; ``clock`` returns seconds that pass.

    The stage is to have ``until`` finished trials; None: as many as the run that is under way brings it to, or the last
    one was to bring it to; without either the study file's count, or as many as there are if more.
    """

    def __init__(
        self, store: Store, search: str | None, *, until: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._search, self._until, self._clock = store, search, until, clock
        self._seen: dict[int, StageView] = {}
        self._details: tuple[Columns, tuple[float, ...]] = ({}, ())
        self._changed: deque[tuple[float, int]] = deque()  # when so many were finished, of the stage shown
        self._shown: int | None = None
        self._ran = False
        self._goals: dict[int, int] = {}  # those of the runs that were seen, or of the last one, by study; 0: unknown
        self._idle: Counts | None = None  # at the last reading, if nothing was left to wait for then

    def read(self) -> View:
        """Return the state now."""
        stages = tuple(map(self._stage, stages_of(self._store, self._search)))
        self._search = stages[0].stage.search
        confirmations = tuple(map(self._stage, self._store.confirmations(self._search)))
        shown = self._in_detail(stages, confirmations)
        stage = shown.stage
        if stage.study_id != self._shown:
            self._shown, self._ran = stage.study_id, False
            self._changed.clear()
            self._details = ({}, ())
        if not self._details[0] or shown is not self._seen.get(stage.study_id):
            self._details = self._store.latest(stage, _LATEST), self._curve(shown)
        self._seen = {view.stage.study_id: view for view in (*stages, *confirmations)}
        runners = tuple(self._store.runners(stage).items()) if shown.counts.running else ()
        if goals := [owner.until for owner, _ in runners if owner.until]:
            self._goals[stage.study_id] = max(goals)
        elif shown.counts.finished and stage.study_id not in self._goals:
            last = self._store.finishers(stage, among=1 + shown.counts.waiting)  # those that were stopped come last
            self._goals[stage.study_id] = max((owner.until for owner in last), default=0)
        until = self._goal(shown)
        return View(
            stages=stages,
            shown=shown,
            until=until,
            rate=self._rate(shown.counts.finished),
            latest=self._details[0],
            curve=self._details[1],
            runners=runners,
            done=self._is_done(shown.counts, until),
            confirmations=tuple(view for view in confirmations if view is shown or view.counts.running),
        )

    def _in_detail(self, stages: Sequence[StageView], confirmations: Sequence[StageView]) -> StageView:
        """Return the stage or confirmation to show in detail."""
        latest = next((view for view in reversed(stages) if view.counts.rows), stages[0])
        if latest.counts.running:
            return latest
        running = next((view for view in reversed(confirmations) if view.counts.running), None)
        before = next((view for view in confirmations if view.stage.study_id == self._shown), None)
        return running or before or latest

    def _stage(self, stage: Stage) -> StageView:
        """Return a stage's view; the one from before where nothing has finished since."""
        counts, before = self._store.counts(stage), self._seen.get(stage.study_id)
        if before is not None and before.stage == stage:
            if before.counts == counts:
                return before
            if before.counts.complete == counts.complete:
                return StageView(stage, counts, before.best, before.error)
        if stage.plan is not None:
            first = overview(self._store, stage).first
            return StageView(stage, counts, None if first is None else (first.trial, first.mean))
        top = self._store.columns(stage, top=1)
        best = (top["number"][0], top["score"][0]) if top["number"] else None
        return StageView(stage, counts, best, error_of_first(self._store, stage, top))

    def _curve(self, shown: StageView) -> tuple[float, ...]:
        if shown.best is None or shown.confirms:
            return ()
        return self._store.points(shown.stage, [shown.best[0]]).get(shown.best[0], ())

    def _goal(self, shown: StageView) -> int:
        if shown.stage.plan is not None:
            return max(shown.stage.plan.size, shown.counts.rows)
        if self._until is not None:
            return self._until
        if goal := self._goals.get(shown.stage.study_id):
            return goal
        if kinds.foreign(shown.stage):  # no runner trains the unfinished trials of an imported stage
            return shown.counts.finished
        section = shown.stage.study_file.get("trials", {})
        return max(int(section.get("count", 0)), shown.counts.rows)

    def _rate(self, finished: int) -> float | None:
        now, changed = self._clock(), self._changed
        if not changed or changed[-1][1] != finished:
            changed.append((now, finished))
        while len(changed) > _RATE_OVER_CHANGES and now - changed[1][0] > _RATE_OVER_S:
            changed.popleft()
        began, before = changed[0]
        # Up to now, not to the last change, so that the rate of a stalled search falls.
        return (finished - before) / (now - began) if finished > before and now > began else None

    def _is_done(self, counts: Counts, until: int) -> bool:
        """Return whether a stage has its trials, or was run while it was watched and is left with nothing to do.

        Twice in a row, as nothing runs for a moment between two stages of a workflow.
        """
        self._ran |= counts.running > 0
        over = counts.finished >= until or (self._ran and not counts.waiting)
        idle = counts if over and not counts.running else None
        twice, self._idle = idle is not None and idle == self._idle, idle
        return twice
