"""Limits that end a run before its stage has all its trials, and requests to stop from elsewhere."""

from __future__ import annotations

import math
import operator
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from hpsearch.errors import BadArgument
from hpsearch.records import Action, Argument, Completed, Direction, Failed, Sentence, Stage
from hpsearch.search.stage import check_counts
from hpsearch.store.leases import utc_now
from hpsearch.store.schema import STOP
from hpsearch.text import counted, duration, either, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hpsearch.records import Outcome
    from hpsearch.store import Counts, Owner, Store

# What ended a run: the stage has its trials; a signal; a request from elsewhere; or a limit, by its name in `Limits`;
# or failures of all its workers, where those of others succeeded (`hpsearch.search.quarantine`).
EndedBy: TypeAlias = Literal["trials", "signal", "stop", "timeout", "until", "max_failures", "failures"]
_COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
_SENSE: Mapping[Direction, tuple[str, str]] = {"maximize": (">=", ">"), "minimize": ("<=", "<")}
_LOOK_S = 2.0  # seconds between looks at what others have written: requests to stop, scores


class Goal(NamedTuple):
    """A score that is good enough: ``score >= 0.9``."""

    metric: str  # ``score``, or the metric's own name
    sense: str  # the comparison
    value: float

    def __str__(self) -> str:
        return f"{self.metric} {self.sense} {self.value:g}"

    def reached(self, score: float) -> bool:
        """Return whether a score is good enough."""
        return bool(_COMPARE[self.sense](score, self.value))

    def check(self, metric: str, direction: Direction) -> None:
        """Check that it is about this metric, and asks for a better score, not for a worse one."""
        senses, names = _SENSE[direction], dict.fromkeys(("score", metric))
        if self.metric not in names:
            raise BadArgument("until", self, f"the metric is {metric}", f"write {either([*names])}")
        if self.sense not in senses:
            raise BadArgument("until", self, f"the search {direction}s its score", f"compare with {either(senses)}")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a run, which end it before its stage has all its trials; None: no such limit."""

    seconds: float | None = None  # since the job began, which may be a whole search
    until: Goal | None = None  # a trial's score that is good enough
    max_failures: int | None = None  # failed trials in a row


NONE = Limits()


def limits_of(timeout: float | str | None, until: str | None, max_failures: int | None) -> Limits:
    """Return the limits that the arguments of `hpsearch.Search.start` describe.

    Raises:
        BadArgument: One of them makes no sense.
    """
    check_counts(max_failures=max_failures)
    try:
        seconds = None if timeout is None else span(timeout)
    except ValueError as error:
        raise BadArgument("timeout", timeout, str(error)) from None
    return Limits(seconds, None if until is None else _goal(str(until)), max_failures)


def _goal(text: str) -> Goal:
    for sense in _COMPARE:
        metric, _, value = text.partition(sense)
        with suppress(ValueError):
            if metric.strip() and math.isfinite(float(value)):
                return Goal(metric.strip(), sense, float(value))
    raise BadArgument("until", text, 'write a comparison with a number, such as "score >= 0.9"')


class Ending:
    """The end of a run by its limits, a signal or a request; what was reached once stays so.

    Args:
        limits: The limits.
        began: When the time that is limited began, of `time.monotonic`; None: now.
        stopping: Whether a signal has come; asked every time.
        stop_requested: Whether the run was asked to stop; asked every `_LOOK_S`.
        best: The best score so far, of all runs, or nothing; likewise, where the limit is a score.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        began: float | None = None,
        stopping: Callable[[], bool],
        stop_requested: Callable[[], bool],
        best: Callable[[], Sequence[float]],
    ) -> None:
        self._limits, self._stopping, self._stop_requested, self._best = limits, stopping, stop_requested, best
        seconds = math.inf if limits.seconds is None else limits.seconds
        self._deadline = (time.monotonic() if began is None else began) + seconds
        self._looked = -math.inf
        self._failures: list[Failed] = []  # in a row, up to the last outcome
        self._enough = False  # whether a trial has the score of the limit
        self._by: EndedBy | None = None
        self.all_fail: Sentence | None = None  # that all trials of this run fail and others do not, if so

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Add outcomes that were recorded, in their order."""
        for outcome in outcomes:
            if len(self._failures) != self._limits.max_failures:  # that is the end, whatever comes with it
                self._failures = [*self._failures, outcome] if isinstance(outcome, Failed) else []
            if self._limits.until is not None and isinstance(outcome, Completed):
                self._enough |= self._limits.until.reached(outcome.score)

    def reached(self) -> EndedBy | None:
        """Return what ends the run now; None: nothing does."""
        if self._by is None:
            self._by = self._reached()
        return self._by

    def _reached(self) -> EndedBy | None:
        if self._stopping():
            return "signal"
        now = time.monotonic()
        if now - self._looked > _LOOK_S:
            self._looked = now
            if self._stop_requested():
                return "stop"
            if self._limits.until is not None:
                self._enough |= any(map(self._limits.until.reached, self._best()))
        if self._enough:
            return "until"
        if self.all_fail is not None:
            return "failures"
        if len(self._failures) == self._limits.max_failures:
            return "max_failures"
        return "timeout" if now >= self._deadline else None

    def words(self, stage: Stage, counts: Counts, *, until: int, given_back: int, by: EndedBy) -> Sentence | None:
        """Return what ended a run, and the state of its stage; None where that is no limit and no request."""
        state = f"{stage.name} has {counts.finished} of {counted(until, 'trial')}, all recorded"
        state += f"; {given_back} that had begun were given back" if given_back else ""
        match by:
            case "trials" | "signal":
                return None
            case "stop":
                return Sentence(f"stopped by `{{}}`: {state}", (Action("stop", {"search": stage.search}),))
            case "failures" if self.all_fail is not None:
                return Sentence(f"{self.all_fail.text}; {state}", self.all_fail.mentions)
            case "max_failures":
                show, again = (Action(kind, {"search": stage.name}) for kind in ("trials", "retry"))
                row = counted(len(self._failures), "trial")
                text = f"{{}}: {row} in a row failed; the last: {self._failures[-1].reason}; {state}. "
                text += "`{}` shows every reason; once the cause is fixed, `{}` gives the failed trials back"
                return Sentence(text, (Argument(by, self._limits.max_failures), show, again))
        value = self._limits.until if by == "until" else duration(self._limits.seconds or 0)
        return Sentence(f"{{}} reached: {state}", (Argument(by, value),))


class StopRequests:
    """The requests to stop the runs of a search since this object was made.

    They are counted in the search's first study, so that no flag has to be cleared: a run compares numbers, and one
    that begins after a request does not see it.
    """

    def __init__(self, store: Store, search: str) -> None:
        self._store, self._stage = store, store.stages(search)[0]
        self._before = self._count()

    def __call__(self) -> bool:
        """Return whether there was one."""
        return self._count() > self._before

    def _count(self) -> int:
        return int((self._store.study_attribute(self._stage, STOP) or {}).get("times", 0))


class Run(NamedTuple):
    """A run that holds trials."""

    stage: str  # the name of the stage, or confirmation
    owner: Owner  # its host and process
    trials: int  # how many it holds


def request_stop(store: Store, first: Stage) -> tuple[Run, ...]:
    """Ask all runs of a search, whose first stage is given, to stop; return those that hold trials."""

    def another(before: Any) -> dict[str, Any]:
        return {"times": (before or {}).get("times", 0) + 1, "at": f"{utc_now().isoformat()}Z"}

    store.change_study_attribute(first, STOP, another)
    stages = (*store.stages(first.search), *store.confirmations(first.search))
    return tuple(
        Run(stage.name, owner, trials)
        for stage in stages
        for owner, trials in (store.runners(stage).items() if store.counts(stage).running else ())
        if not owner.is_gone()
    )
