"""Waiting for what other processes and threads do, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT_S = 60.0


def until(condition: Callable[[], bool], *, what: str) -> None:
    """Look again and again until the condition holds; fail after `LIMIT_S`."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"waited {LIMIT_S:.0f} s for {what}"
        time.sleep(0.01)
