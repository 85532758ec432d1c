"""Heartbeats that come also while the loop stands still."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_PATIENCE_S = 5.0
"""So long is a heartbeat waited for at the end that is just being written."""


class Pulse:
    """Renews a runner's lease every so often: in its loop, or in a thread where that takes too long.

    A batch that is evaluated in the runner's own process may take longer from one event to the next than a lease
    lasts. Its trials would be given to others, and theirs to it, for ever.

    Args:
        beat: Writes a heartbeat; called from either thread.
        every: Seconds between two.
    """

    def __init__(self, beat: Callable[[], None], *, every: float) -> None:
        self._beat = beat
        self._every = every
        self._last = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hpsearch-pulse", daemon=True)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(_PATIENCE_S)

    def tick(self) -> None:
        """Called by the loop, every time round: beat if it is time."""
        if time.monotonic() - self._last > self._every:
            self._beat()
            self._last = time.monotonic()

    def _watch(self) -> None:
        while not self._over.wait(self._every):
            if time.monotonic() - self._last > 2 * self._every:
                with contextlib.suppress(Exception):  # the loop will meet it, and can say so
                    self._beat()
                self._last = time.monotonic()
