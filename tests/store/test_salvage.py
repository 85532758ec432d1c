"""A recovery makes nothing up: every result in the new database is the original's, to the bit."""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
import stat
import sys
from pathlib import Path

import cared
import pytest
import tiny

from hpsearch.__main__ import main
from hpsearch.errors import BadInput, BadStorage
from hpsearch.store import Owner, open_store
from hpsearch.store.maintenance.check import check
from hpsearch.store.maintenance.repair import salvage

_PAGE = 4096
_PROGRAM = f"""#!{sys.executable}
import sqlite3, sys
options = [word for word in sys.argv[1:] if word.startswith("-")]
file, *commands = [word for word in sys.argv[1:] if not word.startswith("-")]
connection = sqlite3.connect(file)
if commands == [".recover"]:
    for line in connection.iterdump():
        if not line.startswith("COMMIT"):
            print(line)
    print("CREATE TABLE lost_and_found (rowid INTEGER, c0); INSERT INTO lost_and_found VALUES (7, 'x'); COMMIT;")
elif not commands:
    connection.executescript(sys.stdin.read())
"""


def _harm(file: Path, table: str) -> None:
    """Overwrite a page of a table: its first leaf, or its root where it has no other."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    content = bytearray(file.read_bytes())
    start = (root - 1) * _PAGE
    if content[start] == 5:  # an interior page: its first cell says which page is the first leaf
        cell = start + int.from_bytes(content[start + 12 : start + 14], "big")
        start = (int.from_bytes(content[cell : cell + 4], "big") - 1) * _PAGE
    content[start : start + _PAGE] = b"\xff" * _PAGE
    file.write_bytes(content)


def test_of_a_sound_database_everything_is_saved(sound: Path, tmp_path: Path) -> None:
    sound.chmod(0o600)
    content = sound.read_bytes()
    done = salvage(str(sound))
    assert done.target == tmp_path / "my.salvaged.db"
    assert sound.read_bytes() == content
    assert (done.lost, done.after.findings) == (0, [])
    assert cared.rows(done.target) == cared.rows(sound)
    assert {path.name for path in tmp_path.glob("*.db")} == {"my.db", "my.salvaged.db"}
    assert stat.S_IMODE(done.target.stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(done.target)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    "table", ["trial_values", "trial_params", "trial_user_attributes", "trial_intermediate_values"]
)
def test_what_is_lost_runs_again_and_comes_to_the_same(sound: Path, tmp_path: Path, table: str) -> None:
    before = cared.trials(sound)
    _harm(sound, table)
    assert check(str(sound)).broken
    done = salvage(str(sound))
    assert check(str(done.target)).sound
    after = cared.trials(done.target)
    for at, trial in after.items():
        if trial[0] in ("'COMPLETE'", "'PRUNED'"):
            # Of what others ran nobody knows whether it is whole.
            assert trial == before[at] if at[0].startswith("tiny/") else set(trial) <= set(before[at])
    assert any(trial[0] == "'WAITING'" for trial in after.values())
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        start = f"start {tiny.write(tmp_path)} --stage 1 --engine inline --storage {done.target}"
        assert main(start.split()) == 0
    again = cared.trials(done.target)
    mine = {at for at in before if at[0] == cared.FIRST}
    assert {at: again[at] for at in mine} == {at: before[at] for at in mine}


def test_a_log_is_read_too(sound: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(sound, isolation_level=None)) as connection:
        connection.execute("UPDATE studies SET study_name = 'logged' WHERE study_name LIKE 'mine%'")
        assert (tmp_path / "my.db-wal").stat().st_size
        done = salvage(str(sound), tmp_path / "new.db")
    assert "logged" in {saved.study for saved in done.studies}
    assert done.after.sound


def test_what_a_living_runner_writes_is_not_recovered(sound: Path) -> None:
    with contextlib.closing(open_store(str(sound), write=True)) as store:
        store.claim(store.stages("tiny")[0], until=7, most=1, owner=Owner.current())
        with pytest.raises(BadStorage, match="stop it first"):
            salvage(str(sound))


def test_nothing_is_written_over_and_nothing_is_made_of_nothing(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there already"):
        salvage(str(sound), sound)
    other = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    with pytest.raises(BadStorage, match="nothing of a study database"):
        salvage(str(other))
    noise = tmp_path / "noise.db"
    noise.write_bytes(b"noise" * 5000)
    with pytest.raises(BadStorage, match="not a SQLite database"):
        salvage(str(noise))
    assert {path.name for path in tmp_path.glob("*.db")} == {"my.db", "other.db", "noise.db"}


def test_sqlites_own_program_recovers_where_it_is_there(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not every build of it can; this one's ``.recover`` finds a row, too, whose table is lost."""
    before = cared.rows(sound)
    program = tmp_path / "sqlite3"
    program.write_text(_PROGRAM)
    program.chmod(0o755)
    assert salvage(str(sound), tmp_path / "without.db").better is not None
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = salvage(str(sound), tmp_path / "with.db")
    assert (done.better, done.lost, done.after.findings) == (None, 1, [])
    assert {study.study: study.trials for study in done.studies}[cared.FIRST] == 6
    assert cared.rows(done.target) == before
