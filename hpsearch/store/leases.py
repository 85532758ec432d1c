"""Owners of running trials, and whether such a runner is still alive.

A claim carries its owner: host, boot, process and a random run id, and a heartbeat in Optuna's own table. On the
same host a dead owner is known at once, from its process; elsewhere, and for a process that hangs, its heartbeat
decides: one that is old by the database's clock, and did not change for a while by a monotonic clock.
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
from typing import TYPE_CHECKING, Any, NamedTuple

from hpsearch import __version__
from hpsearch.store.schema import OWNER, Query

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy.engine import Connection

LEASE = timedelta(seconds=120)  # a trial whose heartbeat is older, and was seen not to change, is abandoned
BEAT_EVERY_S = 10.0  # seconds between a runner's renewals of its leases: many chances within one lease
STILL_S = 3 * BEAT_EVERY_S  # seconds for which an old heartbeat is watched: a runner whose clock is wrong renews it
# Reasons for which a trial is released.
PROCESS_GONE, SILENT, GIVEN_BACK = "its process was gone", "its heartbeat had stopped", "it gave it back"
STALE = timedelta(days=1)  # a running trial whose heartbeat is older than this is abandoned by a single reading
_RUNNING = (
    "SELECT t.study_id, t.number, t.trial_id, o.value_json, h.heartbeat, t.datetime_start FROM trials t"
    f" LEFT JOIN trial_system_attributes o ON o.trial_id = t.trial_id AND o.key = '{OWNER}'"
    " LEFT JOIN trial_heartbeats h ON h.trial_id = t.trial_id WHERE t.state = 'RUNNING'"
)
_ALL = Query(_RUNNING)
_AMONG = Query(f"{_RUNNING} AND t.study_id = {{study_id}} AND t.trial_id {{ids}}")


@cache
def version_of(package: str) -> str:
    """Return a package's version, or ``unknown`` where it is not installed."""
    if package == "hpsearch":  # that of the code which runs: a checkout's metadata may be older
        return __version__
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def utc_now() -> datetime:
    """Return the time as Optuna stores it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def steady_seconds() -> float:
    """Return seconds of a monotonic clock, which stops while the machine is suspended."""
    return time.monotonic()


def database_now(connection: Connection) -> datetime:
    """Return the time that leases are measured by, UTC: a server's own clock, which all its clients share."""
    if connection.dialect.name == "sqlite":
        return utc_now()
    now: datetime = connection.exec_driver_sql("SELECT timezone('utc', clock_timestamp())").scalar_one()
    return now


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _process(pid: int) -> tuple[str, str]:
    """Return a process's state and when it started; both empty where there is no /proc."""
    # Field 3 of /proc/PID/stat is the state; field 22 tells a process from a later one with the same number. The
    # name in field 2 may hold spaces and parentheses, so fields are counted from the last parenthesis.
    stat = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (stat[0], stat[19]) if stat else ("", "")


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
    """A runner, as claims name it."""

    run: str  # random id of the run
    host: str  # the machine's name
    place: str  # boot and process namespace, so that a process number means something
    pid: int  # process number
    started: str  # when the process started, in the kernel's ticks; empty where it cannot be known
    hpsearch: str = ""  # its version; empty in databases from before 0.3
    numpy: str = ""  # its version; likewise
    until: int = 0  # finished trials that it brings its stage to; 0 where that is not known

    @classmethod
    def current(cls, *, until: int = 0) -> Owner:
        """Return this process, under a new run id."""
        pid, versions = os.getpid(), (version_of("hpsearch"), version_of("numpy"))
        return cls(uuid.uuid4().hex, socket.gethostname(), _here(), pid, _process(pid)[1], *versions, until)

    def to_json(self) -> str:
        """Return it as it stands in the database."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: object) -> Owner | None:
        """Return the owner of a `to_json`; None for what is none. Fields of a later version are left out."""
        known = {field.name for field in fields(cls)}
        try:
            plain = json.loads(text)  # type: ignore[arg-type]  # of None it is a TypeError
            return cls(**{k: v for k, v in plain.items() if k in known}) if isinstance(plain, dict) else None
        except (TypeError, ValueError):
            return None

    def is_here(self) -> bool:
        """Return whether its process is or was on this machine, where its number can be looked up."""
        return self.host == socket.gethostname() and self.place == _here()

    def is_gone(self) -> bool:
        """Return whether its process was on this machine and is no more."""
        return self.is_here() and not self._process_lives()

    def _process_lives(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        state, start = _process(self.pid)
        if state in ("Z", "X"):  # killed, and its parent has not waited for it yet
            return False
        return not (start and self.started) or start == self.started


class Owned(NamedTuple):
    """The owner of a trial that runs or has finished, None while it waits; and how often it was begun."""

    owner: Owner | None
    begun: int


class Watch:
    """The heartbeats of a stage's runners so far, by which dead runners are recognised.

    Clocks are adjusted, and differ between machines. So a heartbeat that seems old, or from the future, is watched for
    a while, in which a living runner renews it. One that did not change for a whole lease is old, whatever the clocks
    say.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[datetime | None, float]] = {}  # each trial's last heartbeat, and when seen first

    def gone(
        self, running: Iterable[tuple[int, Owner, datetime | None]], *, me: Owner, now: datetime
    ) -> dict[int, str]:
        """Return why trials may be given to others, by id.

        Args:
            running: All running trials of a stage: id, owner, last heartbeat in UTC or None for none.
            me: The caller, whose own trials are left out.
            now: The database's time, UTC.
        """
        at, seen, reasons = steady_seconds(), {}, {}
        for trial_id, owner, beat in running:
            if owner.run == me.run:
                continue
            before, since = self._seen.get(trial_id, (None, at))
            since = since if before == beat else at
            seen[trial_id] = beat, since
            if owner.is_gone():
                reasons[trial_id] = PROCESS_GONE
            elif beat is None or _is_over(abs(now - beat), still=at - since):
                reasons[trial_id] = SILENT
        self._seen = seen
        return reasons


def _is_over(age: timedelta, *, still: float) -> bool:
    return still > LEASE.total_seconds() or (age > LEASE and still >= STILL_S)


class Running(NamedTuple):
    """A trial that is under way; its owner is None where no runner of hpsearch has it."""

    study_id: int
    number: int
    trial_id: int
    owner: Owner | None
    beat: datetime | None
    began: datetime | None

    def may_work(self, *, now: datetime) -> bool:
        """Return whether its runner may still work on it, by a single reading.

        On this machine its process decides: after a suspension a living runner's heartbeat is old.
        """
        if self.owner is None or self.owner.is_here():
            return self.owner is not None and not self.owner.is_gone()
        return self.beat is not None and abs(now - self.beat) <= LEASE

    def is_abandoned(self, *, now: datetime) -> bool:
        """Return whether no runner will finish it, by a single reading.

        It is more cautious than `Watch`: clocks differ, and one reading does not show whether a heartbeat changes.
        But every claim begins with a heartbeat, so a claimed trial without one is lost; and clocks do not differ by
        a day.
        """
        if self.owner is not None and (self.beat is None or self.owner.is_here()):
            return self.beat is None or self.owner.is_gone()
        latest = self.beat or self.began
        return latest is None or abs(now - latest) > STALE


def running(connection: Connection) -> list[Running]:
    """Return the trials under way in the whole database; it reads every trial."""
    return list(map(_running, _ALL.rows(connection)))


def running_among(connection: Connection, study_id: int, ids: Collection[int]) -> list[Running]:
    """Return the trials of a study under way among these ids; it reads only those."""
    return list(map(_running, _AMONG.rows(connection, study_id, sorted(ids))))


def _running(row: tuple[Any, ...]) -> Running:
    study_id, number, trial_id, owner, beat, began = row
    return Running(study_id, number, trial_id, Owner.from_json(owner), _moment(beat), _moment(began))


def _moment(stored: Any) -> datetime | None:
    """Return a time as SQLite or a server stores it; None for what is none, as a damaged database may have."""
    if stored is None or isinstance(stored, datetime):
        return stored
    try:
        return datetime.fromisoformat(str(stored)).replace(tzinfo=None)
    except ValueError:
        return None
