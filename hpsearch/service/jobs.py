"""The queue of jobs: what is to be done, which process has it, and its log.

A job that runs belongs to a claim, which has a random id. A worker claims it and starts a process, which takes the
claim over and renews it. Whoever has lost the claim can change the job no more.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Select,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)

from hpsearch.errors import BadInput
from hpsearch.records import Action, Job, JobState, Line
from hpsearch.serialization import to_plain
from hpsearch.service.database import METADATA
from hpsearch.store.leases import BEAT_EVERY_S, LEASE, Owner, database_now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection, Row

    from hpsearch.store.engine import Database

INTERRUPTED = 130  # exit code of a command that Ctrl-C or SIGTERM ended
MOST_OPEN = 100  # jobs of a user that wait or run
MOST_ATTEMPTS = 3  # processes that die with a job before it is given up
_OPEN = ("queued", "running")
_BEAT = timedelta(seconds=BEAT_EVERY_S)

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("search", Text, nullable=False),
    Column("actions", JSON, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("by", Text, nullable=False),
    Column("key", Text, nullable=False),  # the client's, or a random one
    Column("created", DateTime, nullable=False),
    Column("started", DateTime),
    Column("ended", DateTime),
    Column("claim", Text, unique=True),
    Column("worker", Text),  # JSON of the `Owner` that claimed it
    Column("owner", Text),  # likewise of the process that has the claim now; none: it has ended
    Column("renewed", DateTime),  # when the owner renewed its claim
    Column("reason", Text),
    Column("attempts", Integer, nullable=False, default=0),
    Column("position", Integer, nullable=False, default=0),
    Column("exit_code", Integer),
    Column("stopping", Boolean, nullable=False, default=False),
    UniqueConstraint("by", "key"),
)
LOG = Table(
    "job_log",
    METADATA,
    Column("job_id", Integer, ForeignKey(JOBS.c.id), primary_key=True),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("stream", Text, nullable=False),
    Column("text", Text, nullable=False),
)
Index("jobs_of_search", JOBS.c.search, JOBS.c.id)
_of, _log = JOBS.c, LOG.c

ClaimState: TypeAlias = Literal["go on", "stop", "lost"]


class UnknownJob(BadInput):
    """No job has this id."""


class KeyConflict(BadInput):
    """The idempotency key was used for another request."""


class TooManyJobs(BadInput):
    """The user has as many jobs in the queue as a user may have."""


class Queue:
    """The jobs in a service's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, actions: Sequence[Action], *, by: str, key: str | None = None) -> Job:
        """Hand in a job.

        Args:
            actions: What is to be done, one after another, all about the same search.
            by: Name of the user.
            key: A second job of this user's with this key and the same actions is the first one. None: no key.

        Raises:
            BadInput: There are no actions, or they are about several searches, or about none.
            KeyConflict: The user has given this key to other actions.
            TooManyJobs: `MOST_OPEN` jobs of the user wait or run.
        """
        search, plain = _search_of(actions), to_plain(list(actions))
        key = uuid.uuid4().hex if key is None else key

        def work(connection: Connection, _: Job | None) -> Job:
            _lock(connection)
            row = connection.execute(select(JOBS).where(_of.by == by, _of.key == key)).one_or_none()
            if row is None:
                waiting = select(func.count()).where(_of.by == by, _of.state.in_(_OPEN))
                if connection.execute(waiting).scalar_one() >= MOST_OPEN:
                    raise TooManyJobs(f"{MOST_OPEN} jobs of {by} wait or run; wait for their end, or cancel some")
                values = {"search": search, "actions": plain, "state": "queued", "by": by, "key": key}
                new = insert(JOBS).values(**values, created=database_now(connection)).returning(JOBS)
                return _job(connection.execute(new).one())
            if row.actions != plain:
                raise KeyConflict(
                    f"the idempotency key {key!r} was used for job {row.id}, which asks for something else; "
                    "give every request a key of its own"
                )
            return _job(row)

        return self._database.writing(work)

    def job(self, id: int) -> Job:
        """Return a job."""
        return _job(self._database.reading(lambda connection: _row(connection, id)))

    def jobs(
        self, *, search: str | None = None, state: JobState | None = None, limit: int = 100, before: int | None = None
    ) -> list[Job]:
        """Return jobs, the latest first: of a search, in a state, and from before the one of that id."""
        wanted = select(JOBS).order_by(_of.id.desc()).limit(limit)
        if search is not None:
            wanted = wanted.where(_of.search == search)
        if state is not None:
            wanted = wanted.where(_of.state == state)
        if before is not None:
            wanted = wanted.where(_of.id < before)
        return self._database.reading(lambda connection: [_job(row) for row in connection.execute(wanted)])

    def log(self, id: int, *, after: int = 0, limit: int = 1000) -> list[Line]:
        """Return lines of a job's log, from the one after a number on."""
        wanted = select(_log.id, _log.stream, _log.text).where(_log.job_id == id, _log.id > after)

        def work(connection: Connection) -> list[Line]:
            _row(connection, id)
            return [Line(*row) for row in connection.execute(wanted.order_by(_log.id).limit(limit))]

        return self._database.reading(work)

    def cancel(self, id: int) -> Job:
        """Stop a job: one that waits at once, one that runs as soon as it has recorded what is finished."""

        def work(connection: Connection, _: Job | None) -> Job:
            _lock(connection)
            row = _row(connection, id)
            if row.state == "queued":
                return _end(connection, row.id, "stopped", "stopped before it began")
            if row.state == "running":
                return _set(connection, row.id, stopping=True)
            return _job(row)

        return self._database.writing(work)

    def open_jobs(self, search: str) -> list[Job]:
        """Return the jobs of a search that have not ended, those that wait first."""
        waiting, running = (self.jobs(search=search, state=state, limit=10**9) for state in ("queued", "running"))
        return [*waiting, *running]

    def cancel_open(self, search: str) -> list[Job]:
        """Stop the jobs of a search that have not ended."""
        return [self.cancel(job.id) for job in self.open_jobs(search)]

    def claim(self, owner: Owner, *, at_once: int) -> Job | None:
        """Claim the oldest job that may run here, if there is one; the claim's id is the owner's run.

        Jobs whose process has gone, or has not renewed its claim, are begun again, or given up after `MOST_ATTEMPTS`.

        Args:
            owner: This process, until another one takes the claim over.
            at_once: Number of jobs that may run on this machine.
        """

        def work(connection: Connection, doubted: Job | None) -> Job | None:
            _lock(connection)
            if doubted is not None and _claimed(connection, owner.run) is not None:
                return doubted
            while (row := _choose(connection, at_once)) is not None:
                if _is_over(row):
                    _end(connection, row.id, *_ending(row))
                    continue
                now = database_now(connection)
                values = {"claim": owner.run, "worker": owner.to_json(), "owner": owner.to_json(), "renewed": now}
                return _set(
                    connection,
                    row.id,
                    **values,
                    state="running",
                    started=row.started or now,
                    attempts=row.attempts + 1,
                )
            return None

        # The lock is taken only where there is something to do.
        if self._database.reading(lambda connection: _choose(connection, at_once)) is None:
            return None
        return self._database.writing(work)

    def orphans(self) -> list[Owner]:
        """Return the processes of this machine that run jobs whose worker has gone."""
        wanted = select(_of.worker, _of.owner).where(_of.state == "running")
        rows = self._database.reading(lambda connection: connection.execute(wanted).all())
        pairs = [(Owner.from_json(worker), Owner.from_json(owner)) for worker, owner in rows]
        return [
            owner
            for worker, owner in pairs
            if owner is not None and owner.is_here() and not owner.is_gone() and (worker is None or worker.is_gone())
        ]

    def take(self, owner: Owner) -> Job | None:
        """Take a claim over, whose id is the owner's run; None where it is lost."""

        def work(connection: Connection, _: Job | None) -> Job | None:
            row = _claimed(connection, owner.run)
            return row and _set(connection, row.id, owner=owner.to_json(), renewed=database_now(connection))

        return self._database.writing(work)

    def report(self, claim: str, lines: Sequence[Line] = ()) -> ClaimState:
        """Add lines to the log of a claimed job, and renew the claim.

        Args:
            claim: The claim's id.
            lines: Numbered onwards from those that the log has; those that it has already are left out.

        Returns:
            Whether the job may go on, is to stop, or is another process's now.
        """

        def look(connection: Connection) -> tuple[ClaimState, bool]:
            row = connection.execute(_of_claim(claim)).one_or_none()
            old = row is not None and database_now(connection) - row.renewed > _BEAT
            return _claim_state(row), bool(row is not None and (lines or old))

        def work(connection: Connection, _: ClaimState | None) -> ClaimState:
            row = _claimed(connection, claim)
            if row is not None:
                last = _last_line(connection, row.id)
                new = [
                    {"job_id": row.id, "id": line.id, "stream": line.stream, "text": line.text.replace("\0", "\\x00")}
                    for line in lines
                    if line.id > last
                ]
                if new:
                    connection.execute(insert(LOG), new)
                _set(connection, row.id, renewed=database_now(connection))
            return _claim_state(row)

        claim_state, writes = self._database.reading(look)
        return self._database.writing(work) if writes else claim_state

    def last_line(self, id: int) -> int:
        """Return the number of the last line of a job's log, 0 where there is none."""
        return self._database.reading(lambda connection: _last_line(connection, id))

    def advance(self, claim: str, position: int) -> None:
        """Record how many actions of a claimed job are done."""
        self._change(claim, position=position)

    def finish(self, claim: str, exit_code: int, *, reason: str | None = None) -> None:
        """Record the end of a claimed job: done, failed for a reason, or stopped as it was asked to.

        One that was interrupted without being asked to stop goes back to the queue, and no attempt is counted.
        """

        def work(connection: Connection, _: None) -> None:
            if (row := _claimed(connection, claim)) is None:
                return
            _set(connection, row.id, exit_code=exit_code)
            if row.stopping and exit_code in (0, INTERRUPTED):  # 0: its runner saw the search's own request first
                _end(connection, row.id, "stopped", "stopped as requested")
            elif exit_code != INTERRUPTED:
                _end(connection, row.id, "failed" if exit_code else "done", reason if exit_code else None)
            else:
                values = {"state": "queued", "attempts": row.attempts - 1, "exit_code": None}
                _set(connection, row.id, **values, claim=None, owner=None)

        self._database.writing(work)

    def abandon(self, claim: str) -> None:
        """Record that the process of a claimed job has gone; the job is begun again."""
        self._change(claim, owner=None)

    def _change(self, claim: str, **values: Any) -> None:
        def work(connection: Connection, _: None) -> None:
            if (row := _claimed(connection, claim)) is not None:
                _set(connection, row.id, **values)

        self._database.writing(work)


def _search_of(actions: Sequence[Action]) -> str:
    searches = {str(action.arguments.get("search") or "").partition("/")[0] for action in actions}
    if len(searches) != 1 or searches == {""}:
        named = ", ".join(sorted(filter(None, searches))) or "none"
        raise BadInput(f"a job is actions on one search, and these name {named}; hand in a job for each search")
    return searches.pop()


def _lock(connection: Connection) -> None:
    """Let no other transaction change jobs until the end of this one, as on SQLite none that writes does."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE jobs IN SHARE ROW EXCLUSIVE MODE")


def _choose(connection: Connection, at_once: int) -> Row[Any] | None:
    """Return the oldest job that is to be begun here or to be given up; None where there is none."""
    names = ("id", "search", "state", "owner", "renewed", "attempts", "started", "stopping")
    columns: list[Column[Any]] = [_of[name] for name in names]
    rows = connection.execute(select(*columns).where(_of.state.in_(_OPEN)).order_by(_of.id)).all()
    now = database_now(connection)
    running = [(row, owner) for row in rows if (owner := _living(row, now)) is not None]
    busy, here = {row.search for row, _ in running}, sum(owner.is_here() for _, owner in running)
    return next((row for row in rows if row.search not in busy and (_is_over(row) or here < at_once)), None)


def _living(row: Row[Any], now: datetime) -> Owner | None:
    """Return the process that runs a job; None where there is none any more.

    On this machine its process decides: after a suspension a living one's claim is old.
    """
    owner = Owner.from_json(row.owner) if row.state == "running" else None
    if owner is None or (owner.is_gone() if owner.is_here() else abs(now - row.renewed) > LEASE):
        return None
    return owner


def _is_over(row: Row[Any]) -> bool:
    return bool(row.state == "running" and (row.stopping or row.attempts >= MOST_ATTEMPTS))


def _ending(row: Row[Any]) -> tuple[JobState, str]:
    if row.stopping:
        return "stopped", "stopped as requested"
    return "failed", f"{row.attempts} processes have died with it: they were killed, or there was not enough memory"


def _end(connection: Connection, id: int, state: JobState, reason: str | None) -> Job:
    values = {"state": state, "reason": reason, "ended": database_now(connection)}
    return _set(connection, id, **values, claim=None, owner=None)


def _set(connection: Connection, id: int, **values: Any) -> Job:
    return _job(connection.execute(update(JOBS).where(_of.id == id).values(**values).returning(JOBS)).one())


def _row(connection: Connection, id: int) -> Row[Any]:
    row = connection.execute(select(JOBS).where(_of.id == id)).one_or_none()
    if row is None:
        raise UnknownJob(f"there is no job {id}")
    return row


def _claimed(connection: Connection, claim: str) -> Row[Any] | None:
    _lock(connection)  # before the row, as all do: nobody takes the claim away before the transaction ends
    return connection.execute(_of_claim(claim)).one_or_none()


def _of_claim(claim: str) -> Select[Any]:
    return select(JOBS).where(_of.claim == claim, _of.state == "running")


def _claim_state(row: Row[Any] | None) -> ClaimState:
    return "lost" if row is None else "stop" if row.stopping else "go on"


def _last_line(connection: Connection, id: int) -> int:
    return int(connection.execute(select(func.coalesce(func.max(_log.id), 0)).where(_log.job_id == id)).scalar_one())


def _job(row: Row[Any]) -> Job:
    owner = Owner.from_json(row.owner)
    return Job(
        id=row.id,
        actions=tuple(Action(action["kind"], action["arguments"]) for action in row.actions),
        search=row.search,
        state=cast(JobState, row.state),
        by=row.by,
        created=row.created.replace(tzinfo=UTC),
        started=row.started and row.started.replace(tzinfo=UTC),
        ended=row.ended and row.ended.replace(tzinfo=UTC),
        owner=None if owner is None else f"process {owner.pid} on {owner.host}",
        reason=row.reason,
        attempts=row.attempts,
        position=row.position,
        exit_code=row.exit_code,
        stopping=row.stopping,
    )
