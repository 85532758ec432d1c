"""A writer that was cut off in the middle of a change left its journal: what it had begun is nowhere taken for true."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import cared
import damaged
import pytest

from hpsearch.errors import BadStorage, OutputFailure
from hpsearch.store import Owner, open_store, side_files
from hpsearch.store.care import copying, reading
from hpsearch.store.care.checking import check
from hpsearch.store.care.copying import backup
from hpsearch.store.care.repairing import repair
from hpsearch.store.care.salvaging import salvage

_BEGUN = (
    "UPDATE trial_values SET value = 0.125",
    "UPDATE trial_params SET param_value = param_value * 0.5",
    "UPDATE trial_user_attributes SET value_json = value_json || ' '",
    "INSERT INTO studies (study_name) VALUES ('begun')",
)


@pytest.fixture
def cut_off(tmp_path: Path) -> Path:
    """A database whose writer has moved half of a change into the file, with the journal that undoes it."""
    file, writing = tmp_path / "my.db", tmp_path / "writing" / "my.db"
    writing.parent.mkdir()
    cared.write(writing.parent)
    with contextlib.closing(sqlite3.connect(writing, isolation_level=None)) as writer:
        for statement in ("PRAGMA journal_mode=DELETE", "PRAGMA cache_size=1", "BEGIN IMMEDIATE", *_BEGUN):
            writer.execute(statement)
        for end in ("", "-journal"):
            shutil.copy(f"{writing}{end}", f"{file}{end}")
    shutil.rmtree(writing.parent)
    assert side_files.left_in(file, side_files.JOURNAL) is not None
    return file


def _begun(file: Path) -> int:
    """How many values are those that nobody committed."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        (many,) = connection.execute("SELECT count(*) FROM trial_values WHERE value = 0.125").fetchone()
    return int(many)


def test_a_check_sees_what_was_committed(cut_off: Path) -> None:
    found = check(str(cut_off))
    assert found.sound, found.findings
    assert repair(str(cut_off), found).after.sound
    assert (_begun(cut_off), found.studies) == (0, 7)


def test_a_copy_holds_what_was_committed(cut_off: Path, tmp_path: Path) -> None:
    backup(str(cut_off), tmp_path / "copy.db")
    assert _begun(tmp_path / "copy.db") == 0
    assert check(str(tmp_path / "copy.db")).sound


def test_what_may_not_be_rolled_back_is_not_looked_at(cut_off: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_files, "may_write", lambda _: False)
    with pytest.raises(BadStorage, match=r"rolled back from .*my\.db-journal; make both"):
        check(str(cut_off))
    assert side_files.left_in(cut_off, side_files.JOURNAL) is not None


@pytest.mark.parametrize("table", [None, "trial_user_attributes", "trial_values"])
def test_a_salvage_takes_the_pages_from_before(cut_off: Path, tmp_path: Path, table: str | None) -> None:
    (tmp_path / "whole").mkdir()
    whole = cared.write(tmp_path / "whole")
    if table is not None:
        with contextlib.closing(sqlite3.connect(whole)) as connection:
            asked = "SELECT rootpage FROM sqlite_master WHERE name = ?"
            page = connection.execute(asked, (table,)).fetchone()[0] - 1
        with cut_off.open("r+b") as stream:
            stream.seek(page * damaged.PAGE)
            stream.write(bytes(damaged.PAGE))
    left = {path.name: path.read_bytes() for path in tmp_path.glob("my.db*")}
    done = salvage(str(cut_off))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("my.db*")} == left
    assert done.after.sound, done.after.findings
    before, after = damaged.trials(whole), damaged.trials(done.target)
    assert all(before[at] == trial for at, trial in after.items() if damaged.finished(trial))
    if table is None:
        assert after == before
    else:
        assert _begun(done.target) == 0


def test_a_database_that_somebody_holds_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.store.care.file_checks.BUSY_TIMEOUT_S", 0.01)
    monkeypatch.setattr("hpsearch.store.database.BUSY_TIMEOUT_S", 0.01)
    file = cared.write(tmp_path)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        for look in (check, salvage):
            with pytest.raises(BadStorage, match="locked by another program"):
                look(str(file))
        with pytest.raises(OutputFailure, match="database is locked"):
            copying.automatic(file, "delete")
    assert [path.name for path in tmp_path.iterdir()] == ["my.db"]


def test_what_a_living_runner_writes_is_not_salvaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = cared.write(tmp_path)
    store, me = open_store(str(file), write=True), Owner.current()
    stage = store.stages("tiny")[0]
    store.claim(stage, until=7, most=1, owner=me)
    with pytest.raises(BadStorage, match="stop it first"):
        salvage(str(file))
    store.release(stage, owner=me)
    busy = []

    def read(file: Path) -> object:
        with contextlib.closing(sqlite3.connect(file, timeout=0)) as other:
            busy.append(other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
        return tables(file)

    tables = reading.read_tables
    monkeypatch.setattr(reading, "read_tables", read)
    done = salvage(str(file))
    store.close()
    assert busy == [1]
    assert {one.study: one.trials for one in done.studies}["tiny/stage-01"] == 7
