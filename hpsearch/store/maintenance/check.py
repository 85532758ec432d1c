"""Check of a study database: everything that can be known to be wrong with it, from the file to the scores."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import event, text
from sqlalchemy.engine import URL

from hpsearch.errors import BadStorage, StorageFailure
from hpsearch.store import engine
from hpsearch.store import schema as t
from hpsearch.store.maintenance import rules
from hpsearch.store.maintenance.rules import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from hpsearch.records import Stage
    from hpsearch.samplers import Sampler

_MOST = 100  # messages that SQLite is asked for: one damaged page may give thousands
# Errors that are no damage.
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY)
RECOVER = "a salvage recovers what SQLite can read of it, into a new file"


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings of a check."""

    where: str
    findings: Sequence[Finding]
    studies: int | None = None  # how many there are; None where they could not be read
    trials: int | None = None  # likewise
    names: Mapping[int, str] = field(default_factory=dict)  # of the studies, by key
    stages: Sequence[Stage] = ()  # those that can be read
    notes: Sequence[str] = ()  # on what was not looked at

    @property
    def sound(self) -> bool:
        """True if nothing is wrong."""
        return not self.findings

    @property
    def broken(self) -> bool:
        """True if SQLite itself cannot read all of the file, so that only a recovery helps."""
        return any(finding.kind == "file" for finding in self.findings)

    @property
    def mendable(self) -> list[Finding]:
        """Those that a repair does something about."""
        return [finding for finding in self.findings if finding.mend is not None]

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return {
            "database": self.where,
            "sound": self.sound,
            "studies": self.studies,
            "trials": self.trials,
            "findings": [finding.to_dict() for finding in self.findings],
            "notes": list(self.notes),
        }


def check(storage: str, sampler: Sampler | None = None) -> Checked:
    """Check a study database from end to end; nothing is changed."""
    url = engine.parse_url(storage)
    where, file = engine.show(url), engine.sqlite_file(url)
    findings: list[Finding] = []
    if file is not None:
        if engine.check_there(file) != engine.MAGIC:
            raise BadStorage(f"{file} is not a SQLite database; give another storage")
        findings = _file_findings(file)
        if findings:  # what is looked up by wrong indexes would be wrong, too
            return Checked(where, findings, notes=["the trials were not looked at"])
    with tolerant_database(url) as database:
        t.check_revision(database, create=False)
        database.opened()
        try:
            with database.read() as connection:
                return contents(connection, where, sampler)
        except StorageFailure as error:
            if file is None:
                raise
            return Checked(where, [_unreadable(error.__cause__ or error)])


def contents(connection: Connection, where: str, sampler: Sampler | None = None) -> Checked:
    """Check what a database holds, where its file is in order."""
    names = dict(map(tuple, connection.execute(text("SELECT study_id, study_name FROM studies"))))
    trials = connection.execute(text("SELECT count(*) FROM trials")).scalar_one()
    stages, unreadable = rules.read_stages(connection, names)
    findings = rules.row_findings(connection, names) + unreadable
    # Of a trial that is damaged otherwise its results say nothing new.
    known = {(place.study, place.number) for finding in findings for place in finding.places}
    for stage in stages:
        for finding in rules.result_findings(connection, stage, sampler):
            fresh = [place for place in finding.places if (place.study, place.number) not in known]
            if fresh:
                findings.append(replace(finding, places=fresh))
    return Checked(where, findings, studies=len(names), trials=trials, names=names, stages=stages)


@contextlib.contextmanager
def plain_connection(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a file with SQLite's driver alone, to read it; what a writer had begun that was cut off is rolled back."""
    # Where no side files can be made and no log is left, as a file that does not change.
    fixed = not os.access(file.parent, os.W_OK) and engine.left_in(file, engine.LOG) is None
    options = "mode=ro&immutable=1" if fixed else "mode=rw" if os.access(file, os.W_OK) else "mode=ro"
    uri = f"file:{quote(str(file))}?{options}"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=engine.BUSY_TIMEOUT_S)) as connection:
        _tolerant(connection)
        yield connection


def _file_findings(file: Path) -> list[Finding]:
    """Return what SQLite finds wrong with a file: its pages, its indexes, its constraints."""
    try:
        with plain_connection(file) as connection:
            lines = complaints(connection, "integrity_check")
            if not lines:
                return []
            # The quick check leaves out whether the indexes agree with their tables.
            if worse := complaints(connection, "quick_check"):
                what = f"SQLite cannot read all of it ({worse[0]})"
                return [Finding("file", what, advice=RECOVER, total=len(worse))]
    except (sqlite3.Error, OverflowError) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
            with engine.translated(URL.create("sqlite", database=str(file)), door=True):
                raise
        return [_unreadable(error)]
    what = f"indexes that do not agree with their tables ({lines[0]})"
    return [Finding("index", what, mend="the indexes are built anew", total=len(lines))]


def complaints(connection: sqlite3.Connection, pragma: str) -> list[str]:
    """Return what SQLite's ``integrity_check`` or ``quick_check`` finds wrong; nothing for a sound file."""
    rows = [row[0] for row in connection.execute(f"PRAGMA {pragma}({_MOST})")]
    return [line for row in rows for line in row.splitlines() if line not in ("ok", "") and "*** in" not in line]


def _unreadable(error: BaseException) -> Finding:
    reason = " ".join(str(getattr(error, "orig", None) or error).split())
    return Finding("file", f"SQLite cannot read all of it ({reason})", advice=RECOVER, total=1)


@contextlib.contextmanager
def tolerant_database(url: URL, *, write: bool = False) -> Iterator[engine.Database]:
    """Open an engine that reads bytes which are no text, too: damage is to be found, not to stop the search for it."""
    database = engine.Database(engine.as_permitted(url, write=write))
    if database.dialect == "sqlite":
        event.listen(database.engine, "connect", _tolerant)
    try:
        yield database
    finally:
        database.close()


def _tolerant(connection: Any, _: object = None) -> None:
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
