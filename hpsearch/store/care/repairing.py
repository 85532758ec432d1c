"""`hpsearch db repair`: a copy first, then everything that can be mended, then a look at what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput, BadStorage, StorageFailure
from hpsearch.store import held
from hpsearch.store.care import copying, mending, stage_rules
from hpsearch.store.care.checking import care_database, check, contents
from hpsearch.store.care.findings import Checked
from hpsearch.store.leases import may_work
from hpsearch.store.locking import database_now, lock_studies
from hpsearch.store.opening import as_permitted
from hpsearch.store.urls import parse_url, show, sqlite_file

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from hpsearch.store.leases import Owner

_ROUNDS = 4
"""What one round mends may show what the next one has to: a trial that is removed leaves orphans."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did.

    Args:
        before: What was wrong.
        after: What is left.
        backup: The copy that was made first; None for none.
    """

    before: Checked
    after: Checked
    backup: Path | None


def refuse_hopeless(checked: Checked) -> None:
    """Refuse to mend a file in place that SQLite itself cannot read.

    Raises:
        StorageFailure: It is one.
    """
    if checked.broken:
        raise StorageFailure(
            f"{checked.where} cannot be mended in place: {checked.findings[0].what}; "
            "`hpsearch db repair --salvage` copies what can be read to a new file"
        )


def repair(storage: str, before: Checked, *, backup: bool = True) -> Repaired:
    """Mend a database.

    Args:
        storage: A SQLAlchemy URL, or the path of a SQLite file.
        before: What a check found.
        backup: Whether to copy it first; a server's database is never copied.

    Raises:
        BadInput: It is a server's, and a copy was not declined.
        BadStorage: It is read-only, or somebody works on it.
        StorageFailure: SQLite itself cannot read it.
        OutputFailure: There is no room for the copy.
    """
    refuse_hopeless(before)
    if not before.mendable:
        return Repaired(before, before, None)
    copied = safe_copy(storage, "repair") if backup else None
    return Repaired(before, mend_all(storage), copied)


def mend_all(storage: str, *, everyone: bool = False, live: bool = False) -> Checked:
    """Mend round after round; what a check says then.

    Args:
        storage: A SQLAlchemy URL, or the path of a SQLite file.
        everyone: See `hpsearch.store.care.checking.check`.
        live: Whether runners that seem to be alive are no hindrance: nobody works on a file that was made just now.

    Raises:
        BadStorage: It is read-only, or somebody works on it.
    """
    url = parse_url(storage)
    found = check(storage, everyone=everyone)
    with care_database(url, write=True) as database:
        for _round in range(_ROUNDS):
            if not found.mendable:
                break
            with database.write() as connection:
                lock_studies(connection)
                if not live:
                    refuse_live(connection, show(url))
                mending.mend_file(connection, found.findings)
                if found.studies is not None:  # else nobody has looked at the trials yet: the next round does
                    _mend_contents(connection, show(url), everyone=everyone)
            found = check(storage, everyone=everyone)
    return found


def _mend_contents(connection: Connection, where: str, *, everyone: bool) -> None:
    """Look again, now that the studies are held: a trial that was stuck may have a result by now."""
    found = contents(connection, where, everyone=everyone)
    stages, _ = stage_rules.read_stages(connection, found.names)
    mending.mend(connection, found.findings, {stage.study_id: stage for stage in stages if stage.trainable})


def safe_copy(storage: str, before: str) -> Path:
    """Copy a database beside itself before something is removed from it.

    Args:
        storage: A SQLAlchemy URL, or the path of a SQLite file.
        before: What comes next, as part of the copy's name.

    Raises:
        BadInput: It is a server's: its copy is another program's work.
        BadStorage: It is read-only.
        OutputFailure: There is no room for the copy.
    """
    url = parse_url(storage)
    file = sqlite_file(url)
    if file is None:
        raise BadInput(f"{copying.by_other_means(url, 'studies.dump')}, then say --no-backup")
    as_permitted(file, url, write=True)
    return copying.automatic(file, before)


def refuse_live(connection: Connection, where: str, study: int | None = None) -> None:
    """Refuse to change what a runner that is alive works on.

    Args:
        connection: A transaction that holds the studies, so that nobody claims a trial of theirs after the look.
        where: The database or study, for people.
        study: Of this study only; None for all.

    Raises:
        BadStorage: There is one.
    """
    if (owner := at_work(connection, study)) is not None:
        raise busy(owner, where)


def at_work(connection: Connection, study: int | None = None) -> Owner | None:
    """A runner that is alive and holds trials, of a study or of any; None where there is none."""
    now = database_now(connection)
    for trial in held.running(connection, study):
        if trial.owner is not None and may_work(trial.owner, trial.beat, now=now):
            return trial.owner
    return None


def busy(owner: Owner, where: str) -> BadStorage:
    """What to say where somebody works on what is to be changed."""
    return BadStorage(f"a runner (process {owner.pid} on {owner.host}) works on {where}; stop it first, with Ctrl-C")
