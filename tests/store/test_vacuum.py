"""A vacuum gives space back, or says why it cannot; it changes no row."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import cared
import pytest

from hpsearch.errors import StorageFailure
from hpsearch.store.care import vacuuming
from hpsearch.store.care.checking import check
from hpsearch.store.care.vacuuming import vacuum


def test_a_vacuum_gives_space_back_and_changes_no_row(tmp_path: Path) -> None:
    file = cared.write(tmp_path)
    cared.run_sql(file, "CREATE TABLE much AS SELECT zeroblob(500000) AS x; DROP TABLE much")
    before = cared.rows(file)
    large, small, emptied = vacuum(str(file))
    assert emptied
    assert small < large - 400_000
    assert small == file.stat().st_size
    after = cared.rows(file)
    assert {table: after[table] for table in before} == before
    assert check(str(file)).sound


def test_a_vacuum_waits_only_so_long_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.store.care.vacuuming.WAIT_S", 0.01)
    file = cared.write(tmp_path)
    for other in ("BEGIN IMMEDIATE", "BEGIN; SELECT count(*) FROM trials"):
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
            for statement in other.split("; "):
                connection.execute(statement).fetchall()
            with contextlib.closing(sqlite3.connect(file)) as writer:
                if "SELECT" in other:
                    writer.execute("UPDATE studies SET study_name = study_name")
                    writer.commit()
            with pytest.raises(StorageFailure, match="somebody works on"):
                vacuum(str(file))


def test_a_disk_that_fills_meanwhile_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql == "VACUUM":
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *values)

    def connect(file: Path, **options: Any) -> sqlite3.Connection:
        return opened(file, factory=Full, **options)

    opened = sqlite3.connect
    file = cared.write(tmp_path)
    before = cared.rows(file)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        with pytest.raises(StorageFailure, match=r"the disk of .*my\.db is full"):
            vacuum(str(file))
    assert cared.rows(file) == before


def test_who_comes_during_a_vacuum_does_not_make_it_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empties = iter([True, False])
    monkeypatch.setattr(vacuuming, "_empty_log", lambda _: next(empties))
    assert not vacuum(str(cared.write(tmp_path))).emptied
