"""Trying again while a server is away: for a bounded time, with growing pauses, and nothing done twice.

Only whole operations are tried again. When a connection is lost while it commits, nobody knows whether the server has
carried that out; the next try is given what the one before was about to return, and looks.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, TypeVar

from hpsearch.errors import PassingFailure, StorageFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.exc import DBAPIError

T = TypeVar("T")

PATIENCE_S = 60.0
"""For so long is an operation tried again: a server restarts meanwhile, and a runner's leases last twice as long."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 8.0
_NAP_S = 0.25
"""How often somebody who waits asks whether to stop."""
_LOST_STATES = ("08", "57P01", "57P02", "57P03", "57P05", "25P03")
"""How SQLSTATEs begin that end a connection: exceptions of it, shutdowns, starting up, and sessions that idled."""
_CROSSED_STATES = ("40001", "40P01")
"""Two transactions that were in each other's way; one of them has to begin anew."""


def passes(error: DBAPIError) -> bool:
    """Whether the same operation may succeed when it is tried again.

    Args:
        error: What SQLAlchemy raised. SQLite's never pass: its own waiting for locks is bounded already.
    """
    if error.connection_invalidated:
        return True
    module = type(error.orig).__module__.partition(".")[0]
    if not module.startswith("psycopg"):
        return False
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    if state is None:  # the server said nothing: there is none, or the way there is cut
        return type(error.orig).__name__ == "OperationalError"
    return str(state).startswith((*_LOST_STATES, *_CROSSED_STATES))


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE_S
    while True:
        yield pause * random.uniform(0.5, 1.0)  # so that the runners that lost the same server do not come all at once
        pause = min(2 * pause, _LONGEST_PAUSE_S)


class Patience:
    """How long a store's operations are tried again, and who hears of it."""

    def __init__(self) -> None:
        self._note: Callable[[str], object] = lambda text: None
        self._stopping: Callable[[], bool] = lambda: False
        self._spent = False
        """Whether the last operation was given up: the next one, perhaps the last of its run, is tried once."""

    def tell(self, note: Callable[[str], object], stopping: Callable[[], bool]) -> None:
        """Set who hears of a failure that may pass, and who says that nobody waits for it any more."""
        self._note, self._stopping = note, stopping

    def run(self, attempt: Callable[[], T]) -> T:
        """Carry an operation out, again and again where it fails in a way that may pass.

        Raises:
            StorageFailure: It did not pass within `PATIENCE_S`, or nobody waits any more.
        """
        end: float | None = None
        for pause in _pauses():
            try:
                result = attempt()
            except PassingFailure as error:
                if end is None:
                    end = time.monotonic() + PATIENCE_S
                    if not self._spent:
                        self._note(f"{error}; trying again for up to {PATIENCE_S:.0f} s")
                if self._spent or not self._wait(min(time.monotonic() + pause, end)) or time.monotonic() >= end:
                    self._spent = True
                    raise StorageFailure(f"{error}; start again once it does: nothing recorded is lost") from error
            else:
                self._spent = False
                return result
        raise AssertionError("the pauses never end")

    def _wait(self, until: float) -> bool:
        """Wait; False if somebody said stop."""
        while (left := until - time.monotonic()) > 0 and not self._stopping():
            time.sleep(min(left, _NAP_S))
        return not self._stopping()
