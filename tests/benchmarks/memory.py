"""The memory of a process and all its descendants together, watched from outside."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

EVERY_S = 0.02
_PSS = re.compile(rb"^Pss:\s+(\d+) kB", re.M)
_RSS = re.compile(rb"^VmRSS:\s+(\d+) kB", re.M)


def tree(pid: int) -> list[int]:
    """The process and its descendants that are there now."""
    found = [pid]
    for one in found:  # grows while it is walked
        try:
            children = [(task / "children").read_text() for task in Path(f"/proc/{one}/task").iterdir()]
        except OSError:  # gone meanwhile
            continue
        found += [int(child) for text in children for child in text.split()]
    return found


def memory_of(pid: int) -> int:
    """Bytes of one process: its proportional share (PSS), or where the kernel does not say, all it maps (RSS)."""
    for name, pattern in (("smaps_rollup", _PSS), ("status", _RSS)):
        try:
            seen = pattern.search(Path(f"/proc/{pid}/{name}").read_bytes())
        except OSError:
            continue
        if seen is not None:
            return int(seen[1]) * 1024
    return 0


class Watch:
    """Watches a process tree in a thread: the most memory that all its processes had together.

    PSS divides a page that several processes map among them; where only RSS can be had it is counted in each.
    Reading it takes the watched processes some time too: no seconds are measured under a watch.
    """

    def __init__(self, pid: int) -> None:
        self.most = 0
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._end.wait(EVERY_S):
            self.most = max(self.most, sum(map(memory_of, tree(self._pid))))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
