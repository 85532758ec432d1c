"""A salvage makes nothing up: every result in the new database is the original's, to the bit."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import sqlite3
import struct
from pathlib import Path

import cared
import damaged
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.__main__ import main
from hpsearch.errors import BadInput, BadStorage
from hpsearch.store.care import log
from hpsearch.store.care.checking import check
from hpsearch.store.care.salvaging import Salvage, salvage


def _root(file: Path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0])


def _overwrite(file: Path, start: int, content: bytes) -> None:
    with file.open("r+b") as stream:
        stream.seek(start)
        stream.write(content)


def _nothing_is_made_up(file: Path, done: Salvage) -> None:
    before = damaged.trials(file)
    for at, trial in damaged.trials(done.target).items():
        if damaged.finished(trial):
            assert trial == before[at], at


def test_of_a_sound_database_everything_is_saved(tmp_path: Path) -> None:
    file = cared.write(tmp_path)
    content = file.read_bytes()
    done = salvage(str(file))
    assert done.target == tmp_path / "my.salvaged.db"
    assert file.read_bytes() == content
    assert (dict(done.lost), done.after.findings) == ({}, [])
    before, after = cared.rows(file), cared.rows(done.target)
    assert {table: rows for table, rows in after.items() if table != "trial_heartbeats"} == {
        table: rows for table, rows in before.items() if table != "trial_heartbeats"
    }
    assert {path.name for path in tmp_path.iterdir()} == {"my.db", "my.salvaged.db"}


@pytest.mark.parametrize("table", ["trials", "trial_values", "trial_params", "trial_user_attributes", "schema"])
def test_what_is_lost_runs_again_and_comes_to_the_same(tmp_path: Path, table: str) -> None:
    file = cared.write(tmp_path)
    before = damaged.trials(file)
    harmed = tmp_path / "harmed.db"
    shutil.copy(file, harmed)
    page = 0 if table == "schema" else _root(file, table) - 1
    _overwrite(harmed, page * damaged.PAGE + (100 if page == 0 else 0), bytes(damaged.PAGE - 100))
    assert check(str(harmed)).broken
    done = salvage(str(harmed))
    assert check(str(done.target)).sound
    _nothing_is_made_up(file, done)
    study = tiny.write(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for words in (
            f"start {study} --stage 1",
            f"start {study} --stage 2 --trials 4",
            "confirm tiny --stage 1 --top 2 --repeats 2",
        ):
            assert main([*words.split(), "--engine", "inline", "--storage", str(done.target)]) == 0
    after = damaged.trials(done.target)
    mine = {at for at in before if at[0].startswith("tiny/")}
    without_seconds = [
        {at: [part for part in of[at] if "'seconds'" not in part] for at in mine} for of in (before, after)
    ]
    assert without_seconds[0] == without_seconds[1]


@settings(max_examples=6)
@given(kind=st.sampled_from(sorted(damaged.KINDS)), seed=st.integers(0, 2**32))
def test_whatever_happens_to_the_bytes_nothing_is_made_up(
    tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("harmed")
    file = cared.write(folder)
    harmed = folder / "harmed.db"
    shutil.copy(file, harmed)
    damaged.KINDS[kind](harmed, random.Random(seed))
    try:
        done = salvage(str(harmed))
    except BadStorage:
        return
    before = damaged.trials(file)
    for (study, number), trial in damaged.trials(done.target).items():
        # Bits of a number that stands nowhere else can flip unseen: of other studies, and of a training loss.
        if damaged.finished(trial) and study.startswith("tiny/"):
            sure = [part for part in trial if "'curves'" not in part and "'seconds'" not in part]
            assert set(sure) <= set(before[study, number])


@given(
    words=st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=12), sums=st.tuples(*[st.integers(0, 2**32 - 1)] * 2)
)
def test_a_logs_checksum_is_sqlites(words: list[int], sums: tuple[int, int]) -> None:
    words = words[: len(words) // 2 * 2]
    first, second = sums
    for left, right in zip(words[::2], words[1::2], strict=True):  # as https://sqlite.org/fileformat2.html has it
        first = (first + left + second) % 2**32
        second = (second + right + first) % 2**32
    for order in "<>":
        assert log._checksum(struct.pack(f"{order}{len(words)}I", *words), order, sums) == (first, second)


def test_a_log_is_read_too(tmp_path: Path) -> None:
    file = cared.write(tmp_path)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE studies SET study_name = 'logged' WHERE study_name LIKE 'mine%'")
        assert (tmp_path / "my.db-wal").stat().st_size
        done = salvage(str(file), tmp_path / "new.db")
    assert "logged" in {one.study for one in done.studies}
    assert done.after.sound


def test_a_study_that_lost_what_it_was_begun_with_is_a_stage_no_more(tmp_path: Path) -> None:
    file = cared.write(tmp_path)
    cared.run_sql(file, "DELETE FROM study_user_attributes WHERE study_id = 1 AND key = 'hpsearch:seed'")
    done = salvage(str(file))
    assert [one.study for one in done.studies if not one.stage] == [cared.FIRST]
    assert damaged.trials(done.target) == damaged.trials(file)
    assert check(str(done.target)).sound


def test_nothing_is_written_over_and_nothing_is_made_of_nothing(tmp_path: Path) -> None:
    file = cared.write(tmp_path)
    with pytest.raises(BadInput, match="there already"):
        salvage(str(file), file)
    noise = tmp_path / "noise.db"
    noise.write_bytes(random.Random(1).randbytes(20_000))
    with pytest.raises(BadStorage, match="nothing of a study database"):
        salvage(str(noise))
    assert {path.name for path in tmp_path.iterdir()} == {"my.db", "noise.db"}
