"""Repair of a study database: what can be mended without inventing data, and the recovery of a malformed file.

A repair removes, gives back and builds anew. A recovery is SQLite's own: ``.recover`` of its program, or where that is
not installed what SQLite reads of each table from both ends. What it saves is then checked and repaired like any other
database.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import stat
import subprocess
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime, bindparam, text

from hpsearch.errors import BadInput, BadStorage, OutputFailure, StorageFailure
from hpsearch.objectives import kinds
from hpsearch.records import REASON, RESULT, Action, Argument
from hpsearch.store import claims, engine
from hpsearch.store.claims import lock_studies
from hpsearch.store.leases import Owner, database_now, running, utc_now
from hpsearch.store.maintenance import rules
from hpsearch.store.maintenance.check import Checked, check, contents, plain_connection, tolerant_database
from hpsearch.store.maintenance.copies import check_room, free_name, safe_copy
from hpsearch.store.maintenance.rules import KEYS, TRIAL_TABLES, Finding
from hpsearch.store.schema import NOBODY, OWNER, chunks, create_sqlite, replacing_database

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from hpsearch.samplers import Sampler

PROGRAM = "SQLite's program with .recover (sqlite3 of https://sqlite.org/download.html)"
_ROUNDS = 4  # the most rounds of mending: one may leave work for the next, as a removed trial leaves orphans
ABANDONED = "a repair found that its runner is gone"  # the reason for which a repair gives a trial back
_OF_PARAMS = ("param", "distribution", "sampled", "no-param")


def repair(
    storage: str, before: Checked, *, backup: bool = True, sampler: Sampler | None = None
) -> tuple[Checked, Path | None]:
    """Mend a database, of which a check was made ``before``; return what a check says then, and the copy made first.

    A server's is not copied: ``backup`` must be False. One that somebody works on is refused.
    """
    if before.broken:
        raise BadStorage(
            f"{before.where} cannot be repaired in place: {before.findings[0].what}; `{{}}` recovers what can be read "
            "to a new file",
            Action("db repair", {"salvage": True, "storage": before.where}),
        )
    if not before.mendable:
        return before, None
    copied = safe_copy(storage, "repair") if backup else None
    return _mend_all(storage, before, sampler), copied


def _mend_all(storage: str, checked: Checked, sampler: Sampler | None) -> Checked:
    """Mend round after round; return what a check says then."""
    url = engine.parse_url(storage)
    with tolerant_database(url, write=True) as database:
        database.opened()
        for _round in range(_ROUNDS):
            if not checked.mendable:
                break
            with database.write() as connection:
                lock_studies(connection)
                refuse_live(connection, engine.show(url))
                if any(finding.kind == "index" for finding in checked.findings):
                    connection.execute(text("REINDEX"))
                else:
                    # Check again under the lock: a stuck trial may have a result by now.
                    checked = contents(connection, engine.show(url), sampler)
                    runnable = {stage.study_id for stage in checked.stages if kinds.trainable(stage)}
                    mend(connection, checked.findings, runnable)
            checked = check(storage, sampler)
    return checked


def refuse_live(connection: Connection, where: str, study: int | None = None) -> None:
    """Raise BadStorage where a runner that is alive works on a database, or on one study, which ``where`` names.

    The transaction holds the studies, so that no runner claims a trial of theirs afterwards.
    """
    now = database_now(connection)
    for trial in running(connection):
        if study in (None, trial.study_id) and trial.owner is not None and trial.may_work(now=now):
            runner = f"a runner (process {trial.owner.pid} on {trial.owner.host})"
            raise BadStorage(f"{runner} works on {where}; stop it first, with Ctrl-C")


def mend(connection: Connection, findings: Sequence[Finding], runnable: Collection[int]) -> None:
    """Mend the findings of a check of this same state; ``runnable`` are the studies whose trials can be run again."""
    again: set[Any] = set()
    for finding in findings:
        if finding.mend is None:
            continue
        kind, _, table = finding.kind.partition(":")
        keys = [place.key for place in finding.places]
        match kind:
            case "orphan" if table == "trials":
                drop_trials(connection, keys)
            case "orphan":
                _delete(connection, table, KEYS[table], keys)
            case "early-value":
                _delete(connection, "trial_values", KEYS["trial_values"], keys)
            case "study-attribute":
                for of_table, row in keys:
                    _delete(connection, of_table, KEYS[of_table], [row])
            case "time":
                for column in ("datetime_start", "datetime_complete"):
                    sql = f"UPDATE trials SET {column} = NULL WHERE trial_id = :id AND ({rules.bad_time(column)})"
                    _run(connection, sql, [{"id": key} for key in keys])
            case "stuck":
                reasons = dict.fromkeys([key for key in keys if key not in again], ABANDONED)
                claims.release(connection, reasons, by=Owner.current())
            case "gap":
                rows = [{"number": p.number, "study": p.study} for p in finding.places if p.study in runnable]
                # The database gives the keys: explicit ones would later collide with a server's sequence.
                sql = "INSERT INTO trials (number, study_id, state) VALUES (:number, :study, 'WAITING')"
                _run(connection, sql, rows)
            case _:
                _again(connection, finding, runnable)
                again.update(keys)


def drop_trials(connection: Connection, ids: Collection[int]) -> None:
    """Remove trials with all that belongs to them."""
    for table in (*TRIAL_TABLES, "trials"):
        _delete(connection, table, "trial_id", ids)


def _run(connection: Connection, sql: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(text(sql), list(rows))


def _delete(connection: Connection, table: str, column: str, keys: Iterable[Any]) -> None:
    _run(connection, f"DELETE FROM {table} WHERE {column} = :key", [{"key": key} for key in keys])


def _again(connection: Connection, finding: Finding, runnable: Collection[int]) -> None:
    """Set trials with damaged results to run again, or to failed where hpsearch cannot run them."""
    study_of = {place.key: place.study for place in finding.places}  # a trial may have two such places
    waiting = [trial_id for trial_id, study in study_of.items() if study in runnable]
    failed = [trial_id for trial_id, study in study_of.items() if study not in runnable]
    for table in ("trial_values", "trial_heartbeats"):
        _delete(connection, table, "trial_id", study_of)
    for table in ("trial_user_attributes", "trial_system_attributes"):
        _forget_unreadable(connection, table, list(study_of))
    if finding.kind in _OF_PARAMS:
        # A claim samples them again, or takes those that somebody enqueued.
        _delete(connection, "trial_params", "trial_id", waiting if finding.kind == "sampled" else study_of)
    _wait(connection, waiting)
    _fail(connection, failed, finding.what)


def _wait(connection: Connection, ids: Sequence[int]) -> None:
    _delete(connection, "trial_intermediate_values", "trial_id", ids)
    rows = [{"id": trial_id, "key": key} for trial_id in ids for key in RESULT]
    _run(connection, "DELETE FROM trial_user_attributes WHERE trial_id = :id AND key = :key", rows)
    sql = "UPDATE trials SET state = 'WAITING', datetime_start = NULL, datetime_complete = NULL WHERE trial_id = :id"
    _run(connection, sql, [{"id": trial_id} for trial_id in ids])
    _write(connection, "trial_system_attributes", OWNER, NOBODY, ids)


def _fail(connection: Connection, ids: Sequence[int], what: str) -> None:
    rows = [{"id": trial_id, "now": utc_now()} for trial_id in ids]
    bad = rules.bad_point(sqlite=connection.dialect.name == "sqlite")
    _run(connection, f"DELETE FROM trial_intermediate_values WHERE trial_id = :id AND {bad}", rows)
    if rows:
        ended = "UPDATE trials SET state = 'FAIL', datetime_complete = coalesce(datetime_complete, :now)"
        now = bindparam("now", type_=DateTime)
        connection.execute(text(f"{ended} WHERE trial_id = :id").bindparams(now), rows)
    _write(connection, "trial_user_attributes", REASON, json.dumps(f"damaged: {what} (marked by a repair)"), ids)


def _write(connection: Connection, table: str, key: str, value: str, ids: Sequence[int]) -> None:
    rows = [{"id": trial_id, "key": key, "value": value} for trial_id in ids]
    _run(connection, f"DELETE FROM {table} WHERE trial_id = :id AND key = :key", rows)
    _run(connection, f"INSERT INTO {table} (trial_id, key, value_json) VALUES (:id, :key, :value)", rows)


def _forget_unreadable(connection: Connection, table: str, ids: Sequence[int]) -> None:
    query = text(f"SELECT {KEYS[table]}, key, value_json FROM {table} WHERE trial_id IN :ids")
    query = query.bindparams(bindparam("ids", expanding=True))
    for some in chunks(ids):
        rows = connection.execute(query, {"ids": some})
        bad = [row for row, key, value in rows if not rules.is_readable(key, value)]
        _delete(connection, table, KEYS[table], bad)


@dataclass(frozen=True, slots=True)
class Saved:
    """The trials of one study after a recovery."""

    study: str
    trials: int  # how many there were, as far as can be known
    again: int  # wait to be run again, as something of them was lost
    failed: int  # of which something was lost, and hpsearch cannot run them
    stage: bool  # whether the study is a stage

    @property
    def kept(self) -> int:
        """The number of trials that are whole."""
        return self.trials - self.again - self.failed


@dataclass(frozen=True, slots=True)
class Salvage:
    """The result of a recovery from one file to another."""

    source: Path
    target: Path
    studies: tuple[Saved, ...]
    lost: int  # how many rows SQLite read of which it cannot know the table
    better: str | None  # what may read more, if it is installed; None for nothing
    after: Checked  # what a check says of the new database


def salvage(storage: str, target: Path | None = None, sampler: Sampler | None = None) -> Salvage:
    """Recover what SQLite can read of a damaged database into a new file, by default one beside it, and mend that."""
    url = engine.parse_url(storage)
    file = engine.sqlite_file(url)
    if file is None:
        raise BadInput(
            f"{engine.show(url)} is on a server, and salvage reads SQLite files only; use the server's tools"
        )
    if engine.check_there(file) != engine.MAGIC:
        raise BadStorage(f"{file} is not a SQLite database; give another storage")
    target = target or free_name(file, "salvaged")
    if target.exists() or engine.left_in(target, engine.LOG, engine.JOURNAL) is not None:
        raise BadInput(f"{target} is there already; give another file with `{{}}`", Argument("out"))
    program = _recovering_program()
    better = None if program else f"{PROGRAM} may read more"
    check_room(file, target, OutputFailure)
    with contextlib.suppress(StorageFailure), tolerant_database(url) as database:
        database.opened()
        with database.read() as connection:  # no runner works in what SQLite cannot read
            refuse_live(connection, str(file))
    with replacing_database(target, mode=stat.S_IMODE(file.stat().st_mode)) as path:
        try:
            lost = _recover(program, file, path)
            after = check(str(path), sampler)
            if not after.names:
                raise BadStorage(f"nothing of a study database can be read in {file}{f'; {better}' if better else ''}")
            before = _states(path)
            after = _mend_all(str(path), after, sampler) if after.mendable else after
            studies = _saved(after, before, _states(path))
        except sqlite3.Error as error:
            raise OutputFailure(f"cannot write {target}: {error}") from error
    return Salvage(file, target, studies, lost, better, replace(after, where=str(target)))


def _recovering_program() -> str | None:
    """Return SQLite's program, if it is there and built with what ``.recover`` needs; Debian's is not."""
    program = shutil.which("sqlite3")
    if program is None:
        return None
    query = [program, ":memory:", "SELECT pgno FROM sqlite_dbpage LIMIT 1"]
    return program if subprocess.run(query, capture_output=True, check=False).returncode == 0 else None


def _recover(program: str | None, file: Path, path: Path) -> int:
    """Copy what SQLite reads of a file to another one; return how many rows are of no known table."""
    if program is None:
        _read_from_both_ends(file, path)
        return 0
    recovered = path.with_name(f"{path.name}.recovered")
    try:
        with subprocess.Popen(
            [program, "-readonly", str(file), ".recover"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as source:
            write = [program, "-batch", str(recovered)]
            subprocess.run(write, stdin=source.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, check=False)
        _read_from_both_ends(recovered, path)
        with plain_connection(recovered) as connection, contextlib.suppress(sqlite3.OperationalError):
            return int(connection.execute("SELECT count(*) FROM lost_and_found").fetchone()[0])
    finally:
        recovered.unlink(missing_ok=True)
    return 0


def _read_from_both_ends(file: Path, path: Path) -> None:
    """Copy the rows of each table that SQLite reads from its beginning and from its end, up to what is lost."""
    create_sqlite(str(path))
    with plain_connection(file) as source, contextlib.closing(sqlite3.connect(path)) as made:
        source.text_factory = bytes
        source.execute("PRAGMA writable_schema=ON")  # then SQLite reads a file whose end is cut off, too
        for table in ("studies", *KEYS):
            for order in ("", "ORDER BY rowid DESC"):
                with contextlib.suppress(sqlite3.DatabaseError, UnicodeDecodeError):  # the latter of a column's name
                    for row in source.execute(f"SELECT * FROM {table} {order}"):
                        marks = ", ".join("CAST(? AS TEXT)" if isinstance(value, bytes) else "?" for value in row)
                        made.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
        made.commit()


def _states(path: Path) -> dict[tuple[int, int], str]:
    """Return trials' states by study and number."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT study_id, number, state FROM trials WHERE study_id IS NOT NULL")
        return {(study, number): state for study, number, state in rows}


def _saved(
    after: Checked, before: Mapping[tuple[int, int], str], states: Mapping[tuple[int, int], str]
) -> tuple[Saved, ...]:
    known = {stage.study_id for stage in after.stages}
    saved = []
    for study, name in sorted(after.names.items(), key=itemgetter(1)):
        now = [(state, before.get(at)) for at, state in states.items() if at[0] == study]
        changed = [state for state, then in now if state != then]
        saved.append(Saved(name, len(now), changed.count("WAITING"), changed.count("FAIL"), study in known))
    return tuple(saved)
