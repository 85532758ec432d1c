"""`hpsearch db repair --salvage`: a new database from what can be read of one that SQLite calls malformed.

The damaged file is only read. What was read of it goes into a new one as it is, and then through the same check and
repair as any database: a trial whose result is not whole runs again, with the same values, and nothing is made up.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import stat
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput, BadStorage, OutputFailure
from hpsearch.files import replacing
from hpsearch.store import tables as t
from hpsearch.store.base import ATTRIBUTE_PREFIX
from hpsearch.store.care import checking, mending, reading, repairing, stage_rules
from hpsearch.store.care.findings import Checked, Finding, Place
from hpsearch.store.care.rows import AGAIN
from hpsearch.store.care.undisturbed import undisturbed
from hpsearch.store.opening import check_there
from hpsearch.store.schema import create_sqlite
from hpsearch.store.side_files import JOURNAL, LOG, SIDE_FILES, beside, left_in
from hpsearch.store.stages import KIND, ROSTER, stage_from_attributes
from hpsearch.store.urls import parse_url, show, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hpsearch.store.care.pages import Read

SALVAGED = "salvaged:"
"""What the attributes of a stage begin with of which some are lost, so that it is a stage no more."""
_OURS = re.compile(r"/(stage|confirm)-\d\d+$")
_NEEDED = ("search", "seed", "ranges", "study_file", "parent", "rule", "trials_used")


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of one study.

    Args:
        study: Its name.
        kept: Trials that are whole, in whatever state.
        again: Trials that wait to be run again, as their results were lost in part or whole.
        failed: Trials that are marked as failed for that, as hpsearch cannot run them.
        stage: Whether it is a stage still; False where some of its own attributes are lost.
    """

    study: str
    kept: int
    again: int
    failed: int
    stage: bool

    @property
    def trials(self) -> int:
        """How many there were, as far as can be known."""
        return self.kept + self.again + self.failed


@dataclass(frozen=True, slots=True)
class Salvage:
    """What a salvage saved.

    Args:
        source: The damaged file.
        target: The new one.
        studies: What became of each study.
        lost: How many pages and rows could not be read, by table.
        after: What a check says of the new database.
    """

    source: Path
    target: Path
    studies: tuple[Saved, ...]
    lost: Mapping[str, int]
    after: Checked


def salvage(storage: str, target: Path | None = None) -> Salvage:
    """Write what can be read of a damaged database to a new file.

    Args:
        storage: The path or URL of a SQLite file; it is only read.
        target: The new file; by default one beside it.

    Raises:
        BadInput: The database is a server's, or the new file is there already.
        BadStorage: There is no such file, nothing of a study database in it, or a runner works on it.
        OutputFailure: The disk is full.
    """
    url = parse_url(storage)
    file = sqlite_file(url)
    if file is None:
        raise BadInput(f"{show(url)} is no SQLite file; what can be saved of it is its server's business")
    check_there(file)
    target = target or _beside(file)
    if target.exists() or left_in(target, LOG, JOURNAL) is not None:
        raise BadInput(f"{target} is there already; give another file with --out")
    if not target.parent.is_dir():
        raise BadInput(f"cannot write {target}: there is no folder {target.parent}")
    with undisturbed(file):
        read, revision = reading.read_tables(file)
    if revision not in (None, t.REVISION):
        raise BadStorage(f"the schema of {file} is {revision}; a salvage knows {t.REVISION} only")
    if not any(table.rows for table in read.values()):
        raise BadStorage(f"nothing of a study database can be read in {file}")
    with replacing(target, mode=stat.S_IMODE(file.stat().st_mode)) as path:
        try:
            create_sqlite(str(path))
            stages = _write(path, read)
            before = _states(path)
            suspects = _suspects(read)
            _mend(path, suspects)
            after = checking.check(str(path), everyone=True)
            saved = _saved(path, before, stages)
        except sqlite3.Error as error:
            raise OutputFailure(f"cannot write {target}: {error}") from error
        finally:
            for end in SIDE_FILES:
                beside(path, end).unlink(missing_ok=True)
    lost = {name: table.lost for name, table in read.items() if table.lost}
    return Salvage(file, target, tuple(saved), lost, Checked(str(target), after.findings, after.studies, after.trials))


def _beside(file: Path) -> Path:
    name, again = f"{file.stem}.salvaged", 2
    while (target := file.with_name(f"{name}{file.suffix}")).exists():
        name, again = f"{file.stem}.salvaged-{again}", again + 1
    return target


def _write(path: Path, read: Mapping[str, Read]) -> dict[str, bool]:
    """Write the rows; whether each study that hpsearch made is a stage still, by name."""
    attributes: dict[int, dict[str, str]] = {}
    for row in read["study_user_attributes"].rows.values():
        attributes.setdefault(row[1], {})[row[2]] = row[3]
    fields = _usual(attributes.values())
    whole = {study: _is_whole(of_study, fields) for study, of_study in attributes.items()}
    names = {rowid: row[1] for rowid, row in read["studies"].rows.items()}
    for study, of_study in attributes.items():
        if study not in names and whole[study] and (name := _name(study, of_study)) not in (None, *names.values()):
            names[study] = name
    directions = {row[2]: row for row in read["study_directions"].rows.values()}
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        _insert(connection, "studies", list(names.items()))
        for table, found in read.items():
            if table in ("studies", "study_user_attributes"):
                continue
            _insert(connection, table, [(rowid, *row[1:]) for rowid, row in found.rows.items()])
        for study in names.keys() - directions.keys():
            if (direction := _direction(attributes.get(study, {}))) is not None:
                connection.execute(
                    "INSERT INTO study_directions (direction, study_id, objective) VALUES (?, ?, 0)", (direction, study)
                )
        rows = []
        for rowid, row in read["study_user_attributes"].rows.items():
            ours = row[2].startswith(ATTRIBUTE_PREFIX) and not whole[row[1]]
            rows.append((rowid, row[1], SALVAGED + row[2].removeprefix(ATTRIBUTE_PREFIX) if ours else row[2], row[3]))
        _insert(connection, "study_user_attributes", rows)
        connection.execute("COMMIT")
    ours = {names[study]: fit for study, fit in whole.items() if study in names and _ours(attributes[study])}
    # Of one whose attributes are all lost the name tells.
    bare = {name for study, name in names.items() if not _ours(attributes.get(study, {})) and _OURS.search(name)}
    return ours | dict.fromkeys(bare, False)


def _insert(connection: sqlite3.Connection, table: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        places = ", ".join("?" * len(rows[0]))
        # A row that another one contradicts is left out; what it belonged to is not whole then.
        connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({places})", rows)


def _ours(of_study: Mapping[str, str]) -> bool:
    return any(key.startswith(ATTRIBUTE_PREFIX) for key in of_study)


def _usual(every: Iterable[Mapping[str, str]]) -> set[str]:
    """The attributes that every stage has to have: later versions of hpsearch write more of them."""
    ours = [of_study for of_study in every if _ours(of_study)]
    keys = {key for of_study in ours for key in of_study}
    optional = (f"{ATTRIBUTE_PREFIX}number", KIND, ROSTER)
    usual = {key for key in keys if 2 * sum(key in of_study for of_study in ours) > len(ours) and key not in optional}
    return usual | {f"{ATTRIBUTE_PREFIX}{field}" for field in _NEEDED}


def _is_whole(of_study: Mapping[str, str], fields: set[str]) -> bool:
    if not _ours(of_study):
        return True
    numbered = f"{ATTRIBUTE_PREFIX}number" in of_study or {KIND, ROSTER} <= of_study.keys()
    try:
        plain = {key: json.loads(said) for key, said in of_study.items() if key.startswith(ATTRIBUTE_PREFIX)}
        made = stage_from_attributes(0, "maximize", plain)
    except Exception:  # whatever reads a half dictionary raises
        return False
    needed = {key for key in fields if key.startswith(ATTRIBUTE_PREFIX)}
    return numbered and made is not None and needed <= of_study.keys()


def _name(study: int, of_study: Mapping[str, str]) -> str | None:
    if not _ours(of_study):
        return None
    plain = {key: json.loads(said) for key, said in of_study.items() if key.startswith(ATTRIBUTE_PREFIX)}
    stage = stage_from_attributes(study, "maximize", plain)
    return None if stage is None else stage.name


def _direction(of_study: Mapping[str, str]) -> str | None:
    """A stage's direction as its study file has it."""
    try:
        said = json.loads(of_study[f"{ATTRIBUTE_PREFIX}study_file"])["objective"]["direction"]
    except (KeyError, ValueError, TypeError):
        return None
    return {"maximize": "MAXIMIZE", "minimize": "MINIMIZE"}.get(said)


def _suspects(read: Mapping[str, Read]) -> set[int]:
    """Trials next to rows that are lost: a row of theirs may be among these.

    Of what hpsearch ran, a check knows whether it is whole. Of other trials it does not.
    """
    suspects: set[int] = set()
    trials = set(read["trials"].rows)
    for table in ("trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes"):
        found = read[table]
        if not found.lost:
            continue
        rowids = sorted(found.rows)
        if not rowids:
            suspects |= trials
            continue
        edges = {rowids[-1], *(rowids[:1] if rowids[0] > 1 else [])}
        for before, after in pairwise(rowids):
            if after > before + 1:
                edges |= {before, after}
        suspects |= {found.rows[rowid][1] for rowid in edges}
        if table != "trial_user_attributes":
            suspects |= trials - {row[1] for row in found.rows.values()}
    return suspects


def _mend(path: Path, suspects: set[int]) -> None:
    repairing.mend_all(str(path), everyone=True, live=True)
    if not suspects:
        return
    with checking.care_database(parse_url(str(path)), write=True) as database, database.write() as connection:
        rows = connection.exec_driver_sql("SELECT trial_id, study_id, number, state FROM trials").all()
        names = dict(map(tuple, connection.exec_driver_sql("SELECT study_id, study_name FROM studies")))
        stages, _ = stage_rules.read_stages(connection, names)
        known = {stage.study_id for stage in stages if stage.trainable and not stage.imported}
        places = [
            Place(study, number, trial_id)
            for trial_id, study, number, state in rows
            if trial_id in suspects and study not in known and state in ("COMPLETE", "PRUNED", "FAIL")
        ]
        runnable = {stage.study_id: stage for stage in stages if stage.trainable}
        mending.mend(connection, [Finding("suspect", "part of it may be lost", places, AGAIN)], runnable)
    repairing.mend_all(str(path), everyone=True, live=True)


def _states(path: Path) -> dict[tuple[int, int], str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT study_id, number, state FROM trials WHERE study_id IS NOT NULL")
        return {(study, number): state for study, number, state in rows}


def _saved(path: Path, before: Mapping[tuple[int, int], str], stages: Mapping[str, bool]) -> list[Saved]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = dict(connection.execute("SELECT study_id, study_name FROM studies ORDER BY study_name"))
    after = _states(path)
    saved = []
    for study, name in names.items():
        now = {number: state for (of, number), state in after.items() if of == study}
        changed = [state for number, state in now.items() if before.get((study, number)) != state]
        again, failed = changed.count("WAITING"), changed.count("FAIL")
        saved.append(Saved(name, len(now) - again - failed, again, failed, stages.get(name, True)))
    return saved
