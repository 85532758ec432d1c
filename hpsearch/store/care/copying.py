"""Copies of a SQLite database while it is in use: one state, whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
from typing import TYPE_CHECKING

from sqlalchemy.engine import URL

from hpsearch.errors import BadInput, OutputFailure
from hpsearch.files import replacing
from hpsearch.store.care.file_checks import looking
from hpsearch.store.leases import utc_now
from hpsearch.store.opening import MAGIC, check_there
from hpsearch.store.side_files import JOURNAL, LOG, SIDE_FILES, beside, left_in
from hpsearch.store.urls import parse_url, show, sqlite_file

if TYPE_CHECKING:
    from pathlib import Path


def backup(storage: str, target: Path, *, force: bool = False) -> int:
    """Copy a database to a file, as it stands at one moment; whoever works on it goes on meanwhile.

    Args:
        storage: A SQLAlchemy URL, or the path of a SQLite file.
        target: The file; its folder must exist.
        force: Whether a file that is there is replaced.

    Returns:
        The copy's size in bytes.

    Raises:
        BadInput: The copy cannot be made there, or the database is a server's.
        BadStorage: There is no such database.
        OutputFailure: The disk is full, or the database is damaged: a copy of that is none to go back to.
    """
    url = parse_url(storage)
    file = sqlite_file(url)
    if file is None:
        raise BadInput(by_other_means(url, target.name))
    check_there(file)
    if target.exists() and target.resolve() == file.resolve():
        raise BadInput(f"{target} is the database itself; give another file")
    if target.exists() and not force:
        raise BadInput(f"{target} is there already; add --force to overwrite it, or give another file")
    if force and target.is_file() and check_there(target, create=True) not in (b"", MAGIC):
        raise BadInput(f"{target} is no database, and a backup does not replace it; give another file")
    if (log := left_in(target, LOG, JOURNAL)) is not None:
        raise BadInput(f"{log} lies beside {target}: a database there may be in use; give another file")
    copy(file, target, sound=True)
    return target.stat().st_size


def by_other_means(url: URL, name: str) -> str:
    """How a server's database is backed up: by its own program, which needs no password on its command line."""
    if url.get_backend_name() != "postgresql":
        return f"{show(url)} is no SQLite file; back it up with its server's own program"
    plain = URL.create("postgresql", url.username, None, url.host, url.port, url.database).render_as_string()
    return (
        f"{show(url)} is a server's; back it up with: pg_dump --format=custom --file={name} {plain} "
        "(the password: PGPASSWORD, or ~/.pgpass)"
    )


def copy(file: Path, target: Path, *, sound: bool) -> None:
    """Copy a SQLite database with what its log holds: one file, with the rights of the other, to be used like it.

    Args:
        file: The database.
        target: Where the copy is to stand.
        sound: Whether a damaged one is refused; otherwise it is copied as it is, as far as SQLite reads its pages.

    Raises:
        BadInput: The copy cannot be written there.
        OutputFailure: The disk is full, or the database cannot be read or is damaged.
    """
    log = left_in(file, LOG)
    needed = file.stat().st_size + (0 if log is None else log.stat().st_size)
    if not target.parent.is_dir():
        raise BadInput(f"cannot write {target}: there is no folder {target.parent}")
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise OutputFailure(
            f"a copy of {file} needs {megabytes(needed)}, and the disk of {target} has {megabytes(free)} left; "
            "free some space, or give another file"
        )
    with replacing(target, mode=stat.S_IMODE(file.stat().st_mode)) as path:
        try:
            with looking(file) as source, contextlib.closing(sqlite3.connect(path)) as made:
                # The driver would wait for ever for somebody who holds the file; a look waits only so long.
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()
                source.backup(made)  # in one step: in WAL mode one state, and writers go on
                made.execute("PRAGMA journal_mode=DELETE")  # now all of it is in one file
                if sound and (said := _unsound(made)) is not None:
                    raise OutputFailure(
                        f"{file} is damaged ({said}), and so would be its copy; `hpsearch db check` says more"
                    )
                # The mode stays with the file: the copy may be put in the other's place, and be written to.
                made.execute("PRAGMA journal_mode=WAL")
        except sqlite3.Error as error:
            if "full" in str(error):
                raise OutputFailure(f"cannot write {target}: the disk is full") from error
            # Its bytes alone would be no copy: what its log holds would be missing, or half of what is being written.
            raise OutputFailure(
                f"cannot copy {file}: {error}; `hpsearch db check` says whether it is damaged"
            ) from error
        finally:
            for end in SIDE_FILES:
                beside(path, end).unlink(missing_ok=True)


def _unsound(connection: sqlite3.Connection) -> str | None:
    try:
        said = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
    except sqlite3.Error as error:
        return str(error)
    return None if said == ["ok"] else " ".join(said[0].split())


def automatic(file: Path, before: str) -> Path:
    """Copy a database before something is removed from it; the copy stands beside it.

    Args:
        file: The database.
        before: What comes next: ``repair``, ``delete``.

    Returns:
        The copy.

    Raises:
        OutputFailure: The disk is full.
    """
    moment = utc_now().strftime("%Y%m%d-%H%M%S")
    name = f"{file.stem}.before-{before}-{moment}"
    target, again = file.with_name(f"{name}{file.suffix}"), 2
    while target.exists():
        target, again = file.with_name(f"{name}-{again}{file.suffix}"), again + 1
    copy(file, target, sound=False)
    return target


def megabytes(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
