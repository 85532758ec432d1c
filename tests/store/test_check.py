"""A check finds every kind of damage that is planted, names it, and nothing else. A repair, and the recovery of a
malformed file, leave a sound database and make nothing up: every sound trial is as it was to the bit.
"""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
import stat
import sys
from dataclasses import replace
from pathlib import Path

import cared
import pytest
import sqlalchemy
import tiny
from cared import PLANTS, Plant

from hpsearch.__main__ import main
from hpsearch.errors import BadInput, BadStorage, StorageFailure
from hpsearch.space import Float
from hpsearch.store import NewStage, Owner, open_store
from hpsearch.store.engine import parse_url
from hpsearch.store.maintenance import repair as repairing
from hpsearch.store.maintenance.check import check, tolerant_database
from hpsearch.store.maintenance.repair import mend, repair, salvage
from hpsearch.store.maintenance.rules import Finding, Place


def start(folder: Path, storage: object, *options: str) -> None:
    """Run stage 1 of the tiny study, unheard."""
    arguments = ["start", str(tiny.write(folder)), "--engine", "inline", "--stage", "1", "--storage", str(storage)]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main([*arguments, *options]) == 0


def test_nothing_is_found_in_a_sound_database_and_nothing_repaired(sound: Path) -> None:
    before = sound.read_bytes()
    checked = check(str(sound))
    assert checked.findings == []
    assert (checked.studies, checked.trials) == (7, 6 + 4 + 4 + 31 + 31 + 5)
    assert repair(str(sound), checked) == (checked, None)
    assert sound.read_bytes() == before


def test_a_servers_database_is_looked_at_and_mended_too(postgres_url: str, tmp_path: Path) -> None:
    start(tmp_path, postgres_url)
    assert check(postgres_url).findings == []
    engine = sqlalchemy.create_engine(postgres_url)
    with engine.begin() as connection:
        for statement in (
            f"DELETE FROM trial_values WHERE trial_id = {cared.trial(0)}",
            f"UPDATE trials SET state = 'WAITING' WHERE trial_id = {cared.trial(1)}",
            f"UPDATE trial_params SET param_value = 7.5 WHERE trial_id = {cared.trial(2)} AND param_name = 'lr'",
            f"UPDATE trial_values SET value = 1 - value + 0.05 WHERE trial_id = {cared.trial(3)}",
            f"UPDATE trial_user_attributes SET value_json = '{{' WHERE trial_id = {cared.trial(4)} AND key = 'curves'",
        ):
            connection.execute(sqlalchemy.text(statement))
    engine.dispose()
    found = check(postgres_url)
    assert sorted((finding.kind, finding.trials) for finding in found.findings) == [
        ("attribute", [4]), ("early-value", [1]), ("no-param", [2]), ("no-value", [0]), ("score", [3])
    ]  # fmt: skip
    with pytest.raises(BadInput, match=r"pg_dump.*no_backup"):
        repair(postgres_url, found)
    assert repair(postgres_url, found, backup=False)[0].sound


@pytest.mark.parametrize("plant", PLANTS, ids=[f"{i}-{plant.kind}" for i, plant in enumerate(PLANTS)])
def test_damage_is_found_and_named_and_mended(sound: Path, plant: Plant) -> None:
    before = cared.trials(sound)
    cared.run_sql(sound, plant.sql)
    damaged = cared.trials(sound)
    found = check(str(sound))
    kinds = {finding.kind for finding in found.findings}
    assert kinds == {plant.kind}
    named = [finding for finding in found.findings if finding.kind == plant.kind]
    assert plant.study in {finding.study for finding in named}
    assert (named[0].mend is not None) is plant.mended
    left = found
    if found.mendable:
        left, copied = repair(str(sound), found)
        assert copied is not None
        assert cared.trials(copied) == damaged
    assert left.sound is plant.mended, left.findings
    assert not left.mendable
    after = cared.trials(sound)
    harmed = {at for at in before if damaged.get(at) != before[at]}
    for at, trial in before.items():
        if at not in harmed:
            assert after.get(at) == trial, at
    # Nothing is made up: what is there and was not before waits for its result.
    for at, trial in after.items():
        if trial not in (before.get(at), damaged.get(at)):
            assert trial[0] in ("WAITING", "COMPLETE", "FAIL")
            assert not any("trial_values" in part for part in trial[1:])


def test_what_runs_again_after_a_repair_comes_to_the_same(sound: Path, tmp_path: Path) -> None:
    before = cared.trials(sound)
    numbers = {"no-value": 0, "sampled": 1, "gap": 2, "score": 3, "attribute": 4}
    for plant in PLANTS:
        if plant.kind in numbers:
            cared.run_sql(sound, plant.sql.replace("number = 2", f"number = {numbers[plant.kind]}"))
    repair(str(sound), check(str(sound)))
    start(tmp_path, sound)
    assert cared.trials(sound) == before
    assert check(str(sound)).sound


def test_what_a_living_runner_holds_is_neither_repaired_nor_recovered(sound: Path) -> None:
    cared.run_sql(sound, next(plant.sql for plant in PLANTS if plant.kind == "no-value"))
    with contextlib.closing(open_store(str(sound), write=True)) as store:
        store.claim(store.stages("tiny")[0], until=9, most=1, owner=Owner.current())
    found = check(str(sound))
    assert {finding.kind for finding in found.findings} == {"no-value"}
    with pytest.raises(BadStorage, match="stop it first"):
        repair(str(sound), found)
    with pytest.raises(BadStorage, match="stop it first"):
        salvage(str(sound))


def test_what_has_finished_since_the_check_stays(sound: Path, tmp_path: Path) -> None:
    with contextlib.closing(open_store(str(sound), write=True)) as store:
        dead = replace(Owner.current(), pid=2**22 + 1)  # a process that never was
        store.claim(store.stages("tiny")[0], until=7, most=1, owner=dead)
    before = check(str(sound))
    assert [(finding.kind, finding.trials) for finding in before.findings] == [("stuck", [6])]
    start(tmp_path, sound, "--trials", "7")
    finished = cared.rows(sound)
    assert repair(str(sound), before, backup=False)[0].sound
    assert cared.rows(sound) == finished


def test_a_number_that_is_filled_takes_no_key_of_those_to_come(url: str, me: Owner) -> None:
    with contextlib.closing(open_store(url, write=True)) as store:
        one, two = (
            store.create_stage(NewStage(name, 1, "maximize", 0, {"lr": Float(0.1, 1.0)}, {})) for name in ("one", "two")
        )
        for until in (1, 2, 3):
            for stage in (one, two):
                store.claim(stage, until=until, most=1, owner=me)
        with tolerant_database(parse_url(url), write=True) as database, database.write() as connection:
            query = f"SELECT trial_id FROM trials WHERE study_id = {one.study_id} AND number = 1"
            repairing.drop_trials(connection, [connection.exec_driver_sql(query).scalar_one()])
            mend(connection, [Finding("gap", "lost", [Place(one.study_id, 1)], "filled")], [one.study_id])
        assert [trial.number for trial in store.claim(two, until=6, most=3, owner=me).trials] == [3, 4, 5]
        assert store.sampled(one) == 3
        assert [trial.number for trial in store.claim(one, until=4, most=2, owner=me).trials] == [1, 3]
        assert store.sampled(one) == 4


def test_a_writer_that_was_cut_off_left_nothing_that_counts(tmp_path: Path) -> None:
    """Half of a change is in the file, and the journal undoes it."""
    file, writing = tmp_path / "my.db", tmp_path / "writing" / "my.db"
    writing.parent.mkdir()
    cared.write(writing.parent)
    with contextlib.closing(sqlite3.connect(writing, isolation_level=None)) as writer:
        for statement in ("PRAGMA journal_mode=DELETE", "PRAGMA cache_size=1", "BEGIN IMMEDIATE"):
            writer.execute(statement)
        writer.execute("UPDATE trial_values SET value = 0.125")
        writer.execute("UPDATE trial_user_attributes SET value_json = value_json || ' '")
        for end in ("", "-journal"):
            file.with_name(f"my.db{end}").write_bytes(writing.with_name(f"my.db{end}").read_bytes())
    assert file.with_name("my.db-journal").stat().st_size
    assert check(str(file)).sound
    assert cared.rows(file)["trial_values"] == cared.rows(cared.write(writing.parent))["trial_values"]


def test_a_database_that_somebody_holds_is_not_damaged(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.store.engine.BUSY_TIMEOUT_S", 0.01)
    with contextlib.closing(sqlite3.connect(sound, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BadStorage, match="locked by another program"):
            check(str(sound))


@pytest.mark.parametrize(
    ("damage", "how"),
    [
        ("UPDATE trial_user_attributes SET value_json = '{\"a' WHERE key = 'validation_loss'", "Unterminated string"),
        ("UPDATE study_user_attributes SET value_json = CAST(X'22ff22' AS TEXT)", "Could not decode"),
        ("DROP TABLE trial_intermediate_values", "no such table: trial_intermediate_values"),
    ],
)
def test_damage_that_a_reader_meets_is_one_line(sound: Path, damage: str, how: str) -> None:
    cared.run_sql(sound, damage)
    with contextlib.closing(open_store(str(sound))) as store, pytest.raises(StorageFailure) as caught:
        store.columns(store.stages()[0], top=3)
    message = str(caught.value)
    assert message.startswith(f"the database {sound} is damaged (")
    assert how in message
    assert "db check" in message
    assert "\n" not in message


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


def test_a_column_whose_name_is_no_text_costs_its_table_alone(sound: Path) -> None:
    before = cared.rows(sound)
    sound.write_bytes(sound.read_bytes().replace(b"heartbeat DATETIME", b"heart\xc3eat DATETIME"))
    assert cared.rows(salvage(str(sound)).target) == {**before, "trial_heartbeats": []}


@pytest.mark.parametrize("end", ["values", "params", "user_attributes", "intermediate_values"])
def test_what_is_lost_runs_again_and_comes_to_the_same(sound: Path, tmp_path: Path, end: str) -> None:
    before = cared.trials(sound)
    _harm(sound, f"trial_{end}")
    assert check(str(sound)).broken
    done = salvage(str(sound))
    assert check(str(done.target)).sound
    after = cared.trials(done.target)
    for at, trial in after.items():
        if trial[0] in ("COMPLETE", "PRUNED"):
            # Of what others ran nobody knows whether it is whole.
            assert trial == before[at] if at[0].startswith("tiny/") else set(trial) <= set(before[at])
    waiting = [at for at, trial in after.items() if trial[0] == "WAITING" and at[0] == cared.FIRST]
    saved = next(saved for saved in done.studies if saved.study == cared.FIRST)
    assert waiting
    assert (saved.again, saved.failed, saved.stage) == (len(waiting), 0, True)
    start(tmp_path, done.target)
    again = cared.trials(done.target)
    mine = {at for at in before if at[0] == cared.FIRST}
    assert {at: again[at] for at in mine} == {at: before[at] for at in mine}


def test_nothing_is_written_over_and_nothing_is_made_of_nothing(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there already"):
        salvage(str(sound), sound)
    other = tmp_path / "other.db"
    cared.run_sql(other, "CREATE TABLE orders (id INTEGER)")
    with pytest.raises(BadStorage, match="nothing of a study database"):
        salvage(str(other))
    noise = tmp_path / "noise.db"
    noise.write_bytes(b"noise" * 5000)
    for refuse in (check, salvage):
        with pytest.raises(BadStorage, match="not a SQLite database"):
            refuse(str(noise))
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
