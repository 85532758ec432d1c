"""Waiting for what other processes and threads do, with an end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

LIMIT_S = 60.0


def until(condition: Callable[[], bool], *, what: str) -> None:
    """Look again and again until the condition holds; fail after `LIMIT_S`."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"waited {LIMIT_S:.0f} s for {what}"
        time.sleep(0.01)


def alive(groups: set[int]) -> set[str]:
    """The processes of these groups, but for those that only wait to be waited for."""
    ps = ["ps", "-eo", "pgid=,stat=,args="]
    rows = [row.split(None, 2) for row in subprocess.run(ps, capture_output=True, text=True).stdout.splitlines()]
    return {" ".join(row) for row in rows if int(row[0]) in groups and not row[1].startswith("Z")}
