"""Copies of a SQLite database while it is in use, whole or not at all; and its vacuum."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.engine import URL

from hpsearch.errors import BadInput, DamagedStorage, OutputFailure, StorageFailure
from hpsearch.records import Action, Argument
from hpsearch.store import engine
from hpsearch.store.leases import utc_now
from hpsearch.store.maintenance.check import complaints, plain_connection
from hpsearch.store.schema import replacing_database

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 5.0  # seconds for which a vacuum waits for other writers


class Vacuumed(NamedTuple):
    """The result of a vacuum."""

    before: int  # bytes of the database and its log
    after: int
    emptied: bool  # whether the log was emptied


def backup(storage: str, target: Path, *, force: bool = False) -> int:
    """Copy a database to a file, as it stands at one moment, while others work on it; return its size in bytes.

    Its folder must exist; ``force`` replaces a database that is there. A damaged database is a `DamagedStorage`.
    """
    url = engine.parse_url(storage)
    file = engine.sqlite_file(url)
    if file is None:
        raise BadInput(by_other_means(url, target.name))
    engine.check_there(file)
    if target.exists() and target.resolve() == file.resolve():
        raise BadInput(f"{target} is the database itself; give another file")
    if target.exists() and not force:
        raise BadInput(
            f"{target} is there already; add `{{}}` to overwrite it, or give another file", Argument("force")
        )
    if force and target.is_file() and engine.check_there(target, create=True) not in (b"", engine.MAGIC):
        raise BadInput(f"{target} is not a database, so a backup does not overwrite it; give another file")
    if (log := engine.left_in(target, engine.LOG, engine.JOURNAL)) is not None:
        raise BadInput(f"{log} exists beside {target}, so that database may be in use; give another file")
    _copy(file, target, sound=True)
    return target.stat().st_size


def by_other_means(url: URL, name: str) -> str:
    """Return how a server's database is backed up: by its own program, without a password on its command line."""
    plain = URL.create("postgresql", url.username, None, url.host, url.port, url.database).render_as_string()
    return (
        f"{engine.show(url)} is a server's; back it up with: pg_dump --format=custom --file={name} {plain} "
        "(the password: PGPASSWORD, or ~/.pgpass)"
    )


def safe_copy(storage: str, before: str) -> Path:
    """Copy a database beside itself ``before`` a ``repair`` or ``delete``, which its name says; return the copy."""
    url = engine.parse_url(storage)
    file = engine.sqlite_file(url)
    if file is None:
        raise BadInput(f"{by_other_means(url, 'studies.dump')}, then run it again with `{{}}`", Argument("no_backup"))
    engine.as_permitted(url, write=True)
    target = free_name(file, f"before-{before}-{utc_now():%Y%m%d-%H%M%S}")
    _copy(file, target, sound=False)
    return target


def free_name(file: Path, end: str) -> Path:
    """Return an unused path beside a file, with ``end`` in its name."""
    name, number = f"{file.stem}.{end}", 2
    while (path := file.with_name(f"{name}{file.suffix}")).exists():
        name, number = f"{file.stem}.{end}-{number}", number + 1
    return path


def _copy(file: Path, target: Path, *, sound: bool) -> None:
    """Copy a SQLite database with what its log holds to one file with the same rights; ``sound``: refuse damage."""
    check_room(file, target, OutputFailure)
    with replacing_database(target, mode=stat.S_IMODE(file.stat().st_mode)) as path:
        try:
            with plain_connection(file) as source, contextlib.closing(sqlite3.connect(path)) as made:
                # The driver's backup would wait for a locked file without limit; a read times out.
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()
                source.backup(made)  # in one step: in WAL mode one state, and writers go on
                made.execute("PRAGMA journal_mode=DELETE")  # now all of it is in one file
                if sound and (damage := complaints(made, "quick_check")):
                    raise DamagedStorage(
                        f"{file} is damaged ({damage[0]}), and so would be its copy; `{{}}` says more",
                        Action("db check", {"storage": str(file)}),
                    )
                # The mode stays with the file: the copy may be put in the other's place, and be written to.
                made.execute("PRAGMA journal_mode=WAL")
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
                raise OutputFailure(f"cannot write {target}: the disk is full") from error
            # A plain copy of the file would lack what its log holds, or have half of a write.
            damaged = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
            raise (DamagedStorage if damaged else OutputFailure)(
                f"cannot copy {file}: {error}; `{{}}` says whether it is damaged",
                Action("db check", {"storage": str(file)}),
            ) from error


def check_room(file: Path, target: Path, failure: type[OutputFailure | StorageFailure]) -> None:
    """Refuse to write a file as large as a database where there is no room for it, or no folder."""
    if not target.parent.is_dir():
        raise BadInput(f"cannot write {target}: there is no folder {target.parent}")
    needed, free = _size(file), shutil.disk_usage(target.parent).free
    if free < needed:
        raise failure(
            f"a copy of {file} needs {megabytes(needed)}, and the disk of {target} has {megabytes(free)} left; "
            "free some space, or give another file"
        )


def _size(file: Path) -> int:
    log = engine.left_in(file, engine.LOG)
    return file.stat().st_size + (0 if log is None else log.stat().st_size)


def megabytes(size: int) -> str:
    """Return a number of bytes for people."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def vacuum(storage: str) -> Vacuumed:
    """Rewrite a SQLite database without its free pages, with fresh figures for its planner, and empty its log."""
    url = engine.parse_url(storage)
    file = engine.sqlite_file(url)
    if file is None:
        raise BadInput(f"{engine.show(url)} is no SQLite file; its server vacuums by itself")
    engine.check_there(file)
    engine.as_permitted(url, write=True)
    check_room(file, file, StorageFailure)
    in_use = f"{file} is in use: vacuum waited {WAIT_S:.0f} s; stop the other process, or try again later"
    before = _size(file)
    with contextlib.closing(sqlite3.connect(file, timeout=WAIT_S, isolation_level=None)) as connection:
        with engine.translated(url, door=True):
            connection.execute("PRAGMA schema_version").fetchone()
        with engine.translated(url, door=False):
            try:
                # Before VACUUM: a reader of an old state would keep all rewritten pages in the log.
                if not _empty_log(connection):
                    raise StorageFailure(in_use)
                for statement in ("VACUUM", "ANALYZE", "PRAGMA optimize"):
                    connection.execute(statement)
                emptied = _empty_log(connection)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise StorageFailure(in_use) from error
                raise
    return Vacuumed(before, _size(file), emptied)


def _empty_log(connection: sqlite3.Connection) -> bool:
    """Move what the log holds into the file; return False where others are in the way."""
    return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
