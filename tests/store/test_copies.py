"""A copy is one state of the database, whole and sound, whoever writes meanwhile; a vacuum changes no row."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
import threading
from pathlib import Path
from types import SimpleNamespace

import cared
import pytest

from hpsearch.errors import BadInput, DamagedStorage, OutputFailure, StorageFailure
from hpsearch.store.engine import Database, parse_url
from hpsearch.store.maintenance import copies
from hpsearch.store.maintenance.check import check
from hpsearch.store.maintenance.copies import backup, safe_copy, vacuum
from hpsearch.store.maintenance.repair import salvage


def test_a_copy_that_is_taken_while_others_commit_is_one_state(sound: Path, tmp_path: Path) -> None:
    cared.run_sql(sound, "CREATE TABLE pair (a INTEGER, b INTEGER); INSERT INTO pair VALUES (0, 0)")
    stop, written = threading.Event(), threading.Event()

    def write() -> None:
        with contextlib.closing(sqlite3.connect(sound, isolation_level=None)) as connection:
            while not stop.is_set():
                connection.executescript("BEGIN IMMEDIATE; UPDATE pair SET a = a + 1; UPDATE pair SET b = a; COMMIT")
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(60)
        for number in range(5):
            backup(str(sound), tmp_path / f"copy-{number}.db")
    finally:
        stop.set()
        writer.join()
    for copy in tmp_path.glob("copy-?.db"):
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            a, b = connection.execute("SELECT a, b FROM pair").fetchone()
            assert a == b > 0
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not {path.name for path in tmp_path.glob("*copy*")} - {f"copy-{number}.db" for number in range(5)}


def test_a_copy_holds_what_only_the_log_holds(sound: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copy.db", tmp_path / "salvaged.db"
    with contextlib.closing(sqlite3.connect(sound, isolation_level=None)) as connection:
        connection.execute("UPDATE studies SET study_name = 'logged' WHERE study_name LIKE 'mine%'")
        assert (tmp_path / "my.db-wal").stat().st_size
        backup(str(sound), copies[0])
        salvage(str(sound), copies[1])
        for copy in copies:
            assert cared.rows(copy) == cared.rows(sound)


def test_a_copy_can_take_the_place_of_its_original(sound: Path, tmp_path: Path) -> None:
    sound.chmod(0o600)
    for copy in (safe_copy(str(sound), "delete"), tmp_path / "copy.db"):
        if not copy.exists():
            backup(str(sound), copy)
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert [path.name for path in tmp_path.glob(f"{copy.name}-*")] == []
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_only_a_log_makes_it_safe_to_wait_less_for_the_disk(sound: Path) -> None:
    for mode, level in (("wal", 1), ("delete", 2)):
        with contextlib.closing(sqlite3.connect(sound)) as connection:
            assert connection.execute(f"PRAGMA journal_mode={mode}").fetchone() == (mode,)
        database = Database(parse_url(str(sound)))
        with database.write() as writing:
            assert writing.exec_driver_sql("PRAGMA synchronous").scalar() == level
        database.close()


def test_a_file_that_is_there_stays(sound: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    with pytest.raises(BadInput, match="is there already; add `force`"):
        backup(str(sound), copy)
    with pytest.raises(BadInput, match="is not a database, so a backup does not overwrite it"):
        backup(str(sound), copy, force=True)
    assert copy.read_text() == "mine"
    shutil.copy(cared.write(tmp_path), copy)
    cared.run_sql(copy, "DELETE FROM trial_values")
    backup(str(sound), copy, force=True)
    assert cared.rows(copy) == cared.rows(sound)
    (tmp_path / "copy.db-wal").write_text("a log")
    with pytest.raises(BadInput, match="may be in use"):
        backup(str(sound), copy, force=True)
    with pytest.raises(BadInput, match="the database itself"):
        backup(str(sound), sound, force=True)
    with pytest.raises(BadInput, match="no folder"):
        backup(str(sound), tmp_path / "nowhere" / "copy.db")


def test_a_damaged_database_is_no_copy_to_go_back_to(sound: Path, tmp_path: Path) -> None:
    whole = sound.read_bytes()
    torn, cut = whole[:-4096] + b"\xff" * 4096, whole[: len(whole) // 2]
    for harmed, says in ((torn, "so would be its copy"), (cut, "cannot copy")):
        sound.write_bytes(harmed)
        with pytest.raises(DamagedStorage, match=f"{says}.*db check"):
            backup(str(sound), tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_disk_without_room_gets_no_half_copy(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OutputFailure, match=r"needs .* MB, and the disk .* has 1.0 kB left"):
        backup(str(sound), tmp_path / "copy.db")
    with pytest.raises(StorageFailure, match=r"1\.0 kB left"):
        vacuum(str(sound))
    with pytest.raises(OutputFailure):
        safe_copy(str(sound), "delete")
    assert [path.name for path in tmp_path.iterdir()] == ["my.db"]


def test_a_servers_database_is_backed_up_by_its_own_program(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(BadInput) as refused:
        backup("postgresql+psycopg://me:secret@host/studies", tmp_path / "my.dump")
    assert "pg_dump --format=custom --file=my.dump postgresql://me@host/studies" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_vacuum_gives_space_back_and_changes_no_row(sound: Path) -> None:
    cared.run_sql(sound, "CREATE TABLE much AS SELECT zeroblob(500000) AS x; DROP TABLE much")
    before = cared.rows(sound)
    large, small, emptied = vacuum(str(sound))
    assert emptied
    assert small < large - 400_000
    assert small == sound.stat().st_size
    after = cared.rows(sound)
    assert {table: after[table] for table in before} == before
    assert check(str(sound)).sound


def test_a_vacuum_waits_only_so_long_for_others(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.store.maintenance.copies.WAIT_S", 0.01)
    for other in ("BEGIN IMMEDIATE", "BEGIN; SELECT count(*) FROM trials"):
        with contextlib.closing(sqlite3.connect(sound, isolation_level=None)) as connection:
            for statement in other.split("; "):
                connection.execute(statement).fetchall()
            with contextlib.closing(sqlite3.connect(sound)) as writer:
                if "SELECT" in other:
                    writer.execute("UPDATE studies SET study_name = study_name")
                    writer.commit()
            with pytest.raises(StorageFailure, match="is in use"):
                vacuum(str(sound))


def test_who_comes_during_a_vacuum_does_not_make_it_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empties = iter([True, False])
    monkeypatch.setattr(copies, "_empty_log", lambda _: next(empties))
    assert not vacuum(str(cared.write(tmp_path))).emptied
