"""Who holds a trial, and whether that runner is still there.

A claim carries its owner: host, boot, process and a random run id, and a heartbeat in Optuna's own table. On the
same host a dead owner is known at once, from its process; elsewhere, and for a process that hangs, its heartbeat
decides: one that is old by the database's clock, and was seen to stand still by a clock that nobody sets.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LEASE = timedelta(seconds=120)
"""A trial whose heartbeat is older than this belongs to nobody, once the heartbeat was seen to stand still."""
BEAT_EVERY_S = 10.0
"""How often a runner renews its leases, in seconds: many chances within one lease."""
STILL_S = 3 * BEAT_EVERY_S
"""For so long is an old heartbeat watched: a living runner whose clock is wrong renews it meanwhile."""
PROCESS_GONE, SILENT, GIVEN_BACK = "its process was gone", "its heartbeat had stopped", "it gave it back"
"""Why a trial was released."""
STALE = timedelta(days=1)
"""A running trial without a sign of life for so long is taken for abandoned after a single look."""


@cache
def version_of(package: str) -> str:
    """Return a package's version, or ``unknown`` where it is not installed: it is run from a checkout, say."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


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
        hpsearch: Its version; empty in databases from before 0.3.
        numpy: Its version; likewise.
    """

    run: str
    host: str
    place: str
    pid: int
    started: str
    hpsearch: str = ""
    numpy: str = ""

    @classmethod
    def current(cls) -> Owner:
        """This process, under a new run id."""
        pid, versions = os.getpid(), (version_of("hpsearch"), version_of("numpy"))
        return cls(uuid.uuid4().hex, socket.gethostname(), _here(), pid, _process(pid)[1], *versions)

    def to_json(self) -> str:
        """As it stands in the database."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Owner | None:
        """The inverse of `to_json`; None for what is not an owner. What a later version added is left out."""
        known = {field.name for field in fields(cls)}
        try:
            plain = json.loads(text)
            return cls(**{k: v for k, v in plain.items() if k in known}) if isinstance(plain, dict) else None
        except (TypeError, ValueError):
            return None

    def is_here(self) -> bool:
        """Whether its process is or was on this machine, so that one can look after it."""
        return self.host == socket.gethostname() and self.place == _here()

    def is_gone(self) -> bool:
        """Whether its process was on this machine and is no more."""
        return self.is_here() and not self._process_lives()

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


def steady_seconds() -> float:
    """Seconds by a clock that nobody sets, and that stands still while the machine is suspended."""
    return time.monotonic()


class Watch:
    """Tells whose runners are gone, by looking at their heartbeats again and again.

    Clocks are set, and those of two machines differ. So a heartbeat that looks old, or looks like one from the future,
    is watched for a while: the next one of a living runner comes meanwhile, whatever time it says. And one that was
    seen to stand still for a whole lease is old whatever the clocks say.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[datetime | None, float]] = {}
        """Each trial's heartbeat at the last look, and when that one was seen first."""

    def gone(
        self, running: Iterable[tuple[int, Owner, datetime | None]], *, me: Owner, now: datetime
    ) -> dict[int, str]:
        """The trials that may be given to others, each with the reason.

        Args:
            running: All running trials of a stage: id, owner, last heartbeat in UTC or None for none.
            me: Who looks: its own trials are not given away.
            now: The database's time, UTC.
        """
        at, seen, found = steady_seconds(), {}, {}
        for trial_id, owner, beat in running:
            if owner.run == me.run:
                continue
            before, since = self._seen.get(trial_id, (None, at))
            since = since if before == beat else at
            seen[trial_id] = beat, since
            if owner.is_gone():
                found[trial_id] = PROCESS_GONE
            elif beat is None or _is_over(abs(now - beat), still=at - since):
                found[trial_id] = SILENT
        self._seen = seen
        return found


def may_work(owner: Owner, beat: datetime | None, *, now: datetime) -> bool:
    """Whether a runner may still work on a trial of its own, as far as a single look shows.

    On this machine its process tells; a heartbeat is old here after a night with the lid closed, and the process goes
    on.

    Args:
        owner: Who holds the trial.
        beat: Its last heartbeat, UTC; None for none.
        now: The database's time, UTC.
    """
    if owner.is_here():
        return not owner.is_gone()
    return beat is not None and abs(now - beat) <= LEASE


def is_abandoned(owner: Owner | None, beat: datetime | None, began: datetime | None, *, now: datetime) -> bool:
    """Whether a single look shows that nobody will finish a running trial.

    It is the cautious counterpart of `Watch`: clocks differ, and one look does not show that a heartbeat stands still.
    But every claim begins with one, so that whoever holds a trial without any has lost it; and a day without one is no
    clock's fault.

    Args:
        owner: Who holds the trial; None for somebody who leaves no name, such as Optuna.
        beat: Its last heartbeat, UTC; None for none.
        began: When the trial began, UTC; None where that is not known.
        now: The database's time, UTC.
    """
    if owner is not None and (beat is None or owner.is_here()):
        return beat is None or owner.is_gone()
    latest = beat or began
    return latest is None or abs(now - latest) > STALE


def _is_over(age: timedelta, *, still: float) -> bool:
    return still > LEASE.total_seconds() or (age > LEASE and still >= STILL_S)


def utc_now() -> datetime:
    """The time as Optuna stores it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)
