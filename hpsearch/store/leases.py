"""Who holds a trial, and whether that runner is still there.

A claim carries its owner: host, boot, process and a random run id, and a heartbeat in Optuna's own table. On the
same host a dead owner is known at once, from its process; elsewhere, and for a process that hangs, the heartbeat's
age decides.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

LEASE = timedelta(seconds=120)
"""A trial whose heartbeat is older than this belongs to nobody."""
BEAT_EVERY_S = 10.0
"""How often a runner renews its leases, in seconds: many chances within one lease."""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _process(pid: int) -> tuple[str, str]:
    """A process's state and when it started; both empty where there is no /proc."""
    # Field 3 of /proc/PID/stat is the state; field 22 tells a process from a later one with the same number. The
    # name in field 2 may hold spaces and parentheses, so fields are counted from the last parenthesis.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (fields[0], fields[19]) if fields else ("", "")


@cache
def _here() -> str:
    # The host's name alone would take a reboot, or a container that shares the name, for the same place.
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    # Without /proc the machine's hardware address still tells two machines of one name apart.
    boot = _read("/proc/sys/kernel/random/boot_id") or f"{uuid.getnode():x}"
    return f"{boot}{namespace}"


@dataclass(frozen=True, slots=True)
class Owner:
    """A runner, as claims name it.

    Args:
        run: Random id of the run.
        host: The machine's name.
        place: Boot and process namespace, so that a process number means something.
        pid: Process number.
        started: When the process started, in the kernel's ticks; empty where it cannot be known.
    """

    run: str
    host: str
    place: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Owner:
        """This process, under a new run id."""
        pid = os.getpid()
        return cls(uuid.uuid4().hex, socket.gethostname(), _here(), pid, _process(pid)[1])

    def to_json(self) -> str:
        """As it stands in the database."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Owner | None:
        """The inverse of `to_json`; None for what is not an owner."""
        try:
            plain = json.loads(text)
            return cls(**plain) if isinstance(plain, dict) else None
        except (TypeError, ValueError):
            return None

    def is_gone(self, *, beat: datetime | None, now: datetime) -> bool:
        """Whether this owner's trials may be given to others.

        Args:
            beat: Its last heartbeat on the trial in question, UTC, or None for none.
            now: The database's time, UTC.
        """
        if self.host == socket.gethostname() and self.place == _here() and not self._process_lives():
            return True
        return beat is None or now - beat > LEASE

    def _process_lives(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        state, start = _process(self.pid)
        if state in ("Z", "X"):  # killed, and its parent has not asked after it yet
            return False
        return not (start and self.started) or start == self.started


def utc_now() -> datetime:
    """The time as Optuna stores it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)
