"""Limits that end a run before its stage has all its trials, and requests to stop from elsewhere."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from hpsearch.errors import BadArgument
from hpsearch.records import Direction, Stage
from hpsearch.search.stage import check_counts
from hpsearch.store.leases import utc_now
from hpsearch.store.schema import STOP
from hpsearch.text import either, seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.store import Owner, Store

# What ended a run: the stage has its trials; a signal; a request from elsewhere; or a limit, by its name in `Limits`.
EndedBy: TypeAlias = Literal["trials", "signal", "stop", "timeout", "until", "max_failures"]
_COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
_SENSE: Mapping[Direction, tuple[str, str]] = {"maximize": (">=", ">"), "minimize": ("<=", "<")}
_GOAL = re.compile(r"\s*(\S.*?)\s*(>=|<=|>|<)\s*(\S+)\s*")


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
    return Limits(None if timeout is None else _timeout(timeout), None if until is None else _goal(until), max_failures)


def _timeout(given: float | str) -> float:
    try:
        seconds = seconds_of(given) if isinstance(given, str) else float(given)
    except ValueError as error:
        raise BadArgument("timeout", given, str(error)) from None
    if not 0 < seconds < math.inf:
        raise BadArgument("timeout", given, "give a time above 0")
    return seconds


def _goal(text: str) -> Goal:
    match = _GOAL.fullmatch(text)
    try:
        metric, sense, value = match.groups() if match else ("", "", "")
        goal = Goal(metric, sense, float(value))
    except ValueError:
        goal = Goal("", "", math.nan)
    if not math.isfinite(goal.value):
        raise BadArgument("until", text, 'write a comparison with a number, such as "score >= 0.9"')
    return goal


class StopRequests:
    """The requests to stop the runs of a search since this object was made.

    They are counted in the search's first study, so that a run compares numbers and nobody has to clear a flag: a run
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
