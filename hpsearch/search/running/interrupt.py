"""Ctrl-C and SIGTERM: the first asks a run to wind up, the second stops at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Stopping:
    """Whether a signal has asked for an end; call it to ask."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None


@contextlib.contextmanager
def stopping() -> Iterator[Stopping]:
    """Inside, the first SIGINT or SIGTERM is only noted; the second raises KeyboardInterrupt.

    Outside the main thread, where Python lets nobody handle signals, nothing is noted.
    """
    noted = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, frame: FrameType | None) -> None:
        if noted.signal is not None:
            raise KeyboardInterrupt
        noted.signal = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
