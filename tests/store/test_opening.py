"""Opening a storage: what is refused, in one line and with nothing left behind."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from cared import run_sql
from sqlalchemy.engine import make_url
from stored import Opener, storage

from hpsearch.errors import BadInput, HpsearchError, MissingExtra
from hpsearch.records import Stage
from hpsearch.store import NewStage, Owner, open_store
from hpsearch.store.engine import sharing_engines, show


def refused(storage: object, *, create: bool = False, write: bool = False) -> str:
    """The message with which a storage is refused."""
    with pytest.raises(BadInput) as caught:
        open_store(str(storage), create=create, write=write)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert caught.value.exit_code == 2
    return message


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file in a folder, to the byte."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


NO_STORAGES = {
    "unknown storage scheme 'nosql'": ["nosql://here/db"],
    "unknown storage scheme 'sqlite+nodriver'": ["sqlite+nodriver:///my.db"],
    "unknown storage scheme 'mysql+pymysql'": ["mysql+pymysql://x@y.invalid/db"],
    "unknown storage scheme": ["://", "postgresql+pg8000://x@y.invalid/db"],
    "in memory": [
        *("sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", ":memory:"),
        "sqlite:///file:shared?mode=memory&cache=shared&uri=true",
    ],
    "not a storage": ["", " ", "\n", "a\0b"],
    "cannot": ["x" * 5000],
}


@pytest.mark.parametrize("says", NO_STORAGES)
def test_not_a_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    for text, create in itertools.product(NO_STORAGES[says], (False, True)):
        assert says in refused(text, create=create)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def strange(tmp_path: Path, empty_database: bytes) -> Path:
    """A folder with all that is no study database."""
    folder = tmp_path / "strange"
    folder.mkdir()
    (folder / "folder.db").mkdir()
    (folder / "text.db").write_text("not a database, but notes about one\n" * 40)
    (folder / "empty.db").touch()
    run_sql(folder / "shop.db", "CREATE TABLE orders (id INTEGER); CREATE TABLE studies_of_art (id INTEGER)")
    run_sql(folder / "tables.db", "CREATE TABLE studies (study_id INTEGER)")
    (folder / "cut.db").write_bytes(empty_database[: len(empty_database) // 2])
    (folder / "header.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    for name, revision in (("newer.db", "v9.9.9"), ("old.db", "v2.4.0.a")):
        (folder / name).write_bytes(empty_database)
        run_sql(folder / name, f"UPDATE alembic_version SET version_num = '{revision}'")
    os.mkfifo(folder / "pipe.db")
    return folder


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("folder.db", "is a folder"),
        ("text.db", "is not a SQLite database"),
        ("shop.db", "holds other tables (orders, studies_of_art), not Optuna's"),
        ("tables.db", "not of a schema that Optuna can use"),
        ("cut.db", "damaged"),
        ("header.db", "is not a SQLite database"),
        ("newer.db", "has the schema v9.9.9; hpsearch knows v3.2.0.a, that of Optuna 3.2 to 5"),
        ("old.db", "has the schema v2.4.0.a; hpsearch knows v3.2.0.a"),
        ("pipe.db", "is not a regular file"),
        ("text.db/my.db", "text.db"),
    ],
)
def test_not_a_study_database(strange: Path, name: str, says: str) -> None:
    before = contents(strange)
    for url in ("{}", "sqlite:///{}"):
        for create, write in itertools.product((False, True), repeat=2):
            message = refused(url.format(strange / name), create=create, write=write)
            assert says in message
            assert str(strange / name) in message
    assert contents(strange) == before


def test_what_is_missing_is_made_where_that_is_meant(strange: Path) -> None:
    before = contents(strange)
    for name, says in (("new.db", "no database"), ("no/new.db", "no database"), ("empty.db", "is empty")):
        assert says in refused(strange / name)
    assert f"the folder {strange / 'no'} of the database" in refused(strange / "no" / "new.db", create=True)
    assert contents(strange) == before


def test_a_password_is_not_shown() -> None:
    with pytest.raises(HpsearchError) as caught:
        open_store("postgresql+psycopg://me:secret@host.invalid:port/db")
    assert len(str(caught.value).splitlines()) == 1
    shown = show(make_url("postgresql+psycopg://me:secret@localhost/studies"))
    assert "localhost/studies" in shown
    assert "secret" not in str(caught.value) + shown


@pytest.mark.parametrize("name", ["new.db", "empty.db", "with space ? # %.db"])
def test_creation(strange: Path, name: str, new_stage: NewStage) -> None:
    before = set(contents(strange))
    store = open_store(str(strange / name), create=True, write=True)
    stage = store.create_stage(new_stage)
    store.close()
    assert set(contents(strange)) == before | {str(strange / name)}
    again = open_store(str(strange / name), create=True)
    assert again.stages() == [stage]
    assert optuna.load_study(study_name=stage.name, storage=storage(again.url)).trials == []
    again.close()
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((strange / name).stat().st_mode) == 0o666 & ~mask


def test_creation_through_a_link_and_in_a_file_without_tables(strange: Path) -> None:
    (strange / "link.db").symlink_to(strange / "target.db")
    run_sql(strange / "bare.db", "CREATE TABLE passing (id INTEGER); DROP TABLE passing")
    assert "holds no studies" in refused(strange / "bare.db")
    for name in ("link.db", "bare.db"):
        store = open_store(str(strange / name), create=True)
        assert store.stages() == []
        store.close()
    assert (strange / "link.db").is_symlink()
    assert (strange / "target.db").stat().st_size > 0


def test_a_failed_creation_leaves_nothing_behind(strange: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(url: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    before = contents(strange)
    monkeypatch.setattr("hpsearch.store.schema.create_sqlite", full)
    for name in ("new.db", "empty.db"):
        assert "is full; free some space" in refused(strange / name, create=True)
    assert contents(strange) == before


@pytest.fixture
def unwritable(empty_database: bytes, opener: Opener, new_stage: NewStage) -> Iterator[tuple[Path, Stage]]:
    """A database that may be read and not written, in a folder where nothing may be made; root becomes nobody."""
    folder = Path(tempfile.mkdtemp())  # not below tmp_path, which is closed to others
    file = folder / "studies.db"
    file.write_bytes(empty_database)
    store = open_store(str(file), write=True)
    stage = store.create_stage(new_stage)
    store.claim(stage, until=2, most=2, owner=Owner.current())
    store.trials(stage)  # imports what reading needs
    store.close()
    closed = folder / "closed"
    closed.mkdir(0)
    file.chmod(0o444)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.setresuid(65534, 65534, 0)
    yield file, stage
    if root:
        os.setresuid(0, 0, 0)
    folder.chmod(0o755)
    closed.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_database_can_be_read_and_is_refused_to_a_writer(unwritable: tuple[Path, Stage]) -> None:
    file, stage = unwritable
    before = contents(file.parent)
    store = open_store(str(file))
    assert store.stages() == [stage]
    assert store.counts(stage).running == 2
    assert store.trials(stage)["number"].tolist() == [0, 1]
    store.close()
    for create in (False, True):
        assert "is read-only here" in refused(file, create=create, write=True)
        assert "Permission denied" in refused(file.with_name("closed") / "my.db", create=create)
    assert "Permission denied" in refused(file.with_name("new.db"), create=True)
    assert contents(file.parent) == before


def test_a_missing_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=r"psycopg is not installed; pip install 'psycopg\[binary\]'"):
        open_store("postgresql+psycopg://somebody@nowhere.invalid/db", create=True)


def test_opening_a_database_again_takes_no_lock_from_who_has_it_open_here(tmp_path: Path) -> None:
    """Else another process that ends takes the log away, and what is written here from then on is lost."""
    file = tmp_path / "studies.db"
    first = open_store(str(file), create=True, write=True)
    open_store(str(file)).close()
    elsewhere = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 7')"
    subprocess.run([sys.executable, "-S", "-c", elsewhere, str(file)], check=True)
    assert file.with_name("studies.db-wal").exists()
    first.close()


def test_stores_share_an_engine_while_a_server_runs(file: Path) -> None:
    def engine_of_another() -> object:
        with closing(open_store(str(file))) as store:
            store.stages()
            return store.database.engine

    assert engine_of_another() is not engine_of_another()
    with sharing_engines():
        with sharing_engines():
            first = engine_of_another()
        assert engine_of_another() is first
        file.rename(file.with_name("elsewhere.db"))
        open_store(str(file), create=True, write=True).close()
        assert engine_of_another() is not first  # it has the old file open
    assert engine_of_another() is not engine_of_another()
