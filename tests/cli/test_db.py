"""`hpsearch db` and `hpsearch delete`: what they say, what they ask, and their exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cared
import pytest
from cared import PLANTS
from commands import Cli

from hpsearch.store import Owner, open_store

_NO_VALUE = next(plant.sql for plant in PLANTS if plant.kind == "no-value")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A sound database where the commands look for it."""
    return cared.write(tmp_path)


def test_a_sound_database(cli: Cli, file: Path) -> None:
    ran = cli("db", "check", "--storage", "my.db")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "my.db: 7 studies, 81 trials: sound\n"
    assert json.loads(cli("db", "check", "--storage", "my.db", "--format", "json").out)["sound"] is True
    ran = cli("db", "repair", "--storage", "my.db")
    assert (ran.code, ran.out) == (0, "my.db: 7 studies, 81 trials: sound\n")
    assert [path.name for path in file.parent.iterdir()] == ["my.db"]


def test_damage_is_shown_asked_about_and_mended(cli: Cli, file: Path) -> None:
    cared.run_sql(file, _NO_VALUE)
    ran = cli("db", "check", "--storage", "my.db")
    assert ran.code == 1
    assert "- tiny/stage-01: trial 2: complete, without a value" in ran.out
    assert ran.out.endswith("next: hpsearch db repair --storage my.db\n")
    plain = json.loads(cli("db", "check", "--storage", "my.db", "--format", "json").out)
    assert [(one["kind"], one["study"], one["trials"]) for one in plain["findings"]] == [
        ("no-value", "tiny/stage-01", [2])
    ]
    before = file.read_bytes()
    ran = cli("db", "repair", "--storage", "my.db")
    assert (ran.code, ran.err) == (2, "hpsearch: not a terminal: pass --yes\n")
    assert file.read_bytes() == before
    ran = cli("db", "repair", "--storage", "my.db", "--yes")
    assert ran.code == 0
    _, said = ran.out.split("\nrepaired\n")
    assert "next: hpsearch start tiny --stage 1 --trials 6 --storage my.db\n" in said
    assert "copied to my.before-repair-" in ran.out
    assert cli("db", "check", "--storage", "my.db").code == 0


def test_what_cannot_be_mended_is_said(cli: Cli, file: Path) -> None:
    cared.run_sql(file, next(plant.sql for plant in PLANTS if plant.kind == "stage"))
    ran = cli("db", "repair", "--storage", "my.db", "--yes")
    assert ran.code == 1
    assert "no repair: take the study from a backup" in ran.out


def test_a_copy_and_a_vacuum(cli: Cli, file: Path) -> None:
    ran = cli("db", "backup", "copy.db", "--storage", "my.db")
    assert ran.code == 0
    assert ran.out.startswith("copied my.db to copy.db: ")
    assert cared.rows(file) == cared.rows(file.with_name("copy.db"))
    ran = cli("db", "backup", "copy.db", "--storage", "my.db")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    ran = cli("db", "vacuum", "--storage", "my.db")
    assert ran.code == 0
    assert " before, " in ran.out


def test_deleting_is_shown_asked_about_and_copied_first(cli: Cli, file: Path) -> None:
    before = cared.rows(file)
    ran = cli("delete", "tiny/stage-02", "--storage", "my.db")
    assert ran.code == 2
    assert "to delete:\n  tiny/stage-02      4 trials\n" in ran.out
    assert cared.rows(file) == before
    ran = cli("delete", "tiny/stage-02", "--storage", "my.db", "--yes")
    assert ran.code == 0, ran
    (copy,) = file.parent.glob("my.before-delete-*.db")
    assert cared.rows(copy) == before
    ran = cli("delete", "tiny", "--storage", "my.db", "--yes", "--no-backup")
    assert ran.code == 0
    assert "(confirms" not in ran.out
    assert len(list(file.parent.glob("*.db"))) == 2
    ran = cli("delete", "tiny", "--storage", "my.db", "--yes")
    assert (ran.code, ran.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("command", ["db check", "db repair", "db vacuum", "db backup copy.db", "delete tiny"])
def test_a_database_that_is_not_there(cli: Cli, command: str) -> None:
    ran = cli(*command.split(), "--storage", "none.db")
    assert (ran.code, ran.err) == (2, "hpsearch: no database none.db; `hpsearch start --storage none.db` makes one\n")


def test_a_damaged_database_is_salvaged(cli: Cli, file: Path) -> None:
    whole = file.read_bytes()
    harmed = whole[: len(whole) // 2]
    file.write_bytes(harmed)
    for command in ("status tiny", "best tiny"):
        ran = cli(*command.split(), "--storage", "my.db")
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert "`hpsearch db repair --salvage --storage my.db` saves" in ran.err
    ran = cli("db", "check", "--storage", "my.db")
    assert ran.code == 1
    assert ran.out.endswith("next: hpsearch db repair --salvage --storage my.db\n")
    ran = cli("db", "repair", "--yes", "--storage", "my.db")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    ran = cli("db", "repair", "--salvage", "--out", "new.db", "--storage", "my.db")
    assert "my.db is unchanged; what was saved is in new.db" in ran.out
    assert file.read_bytes() == harmed
    ran = cli("db", "repair", "--out", "new.db", "--storage", "new.db")
    assert (ran.code, "--salvage" in ran.err) == (2, True)


def test_a_server_that_is_not_there_is_not_damaged(cli: Cli) -> None:
    ran = cli("db", "check", "--storage", "postgresql+psycopg://me@127.0.0.1:1/x")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "connection failed" in ran.err


def test_a_runner_at_work_is_said_before_anything_is_copied(cli: Cli, file: Path) -> None:
    store = open_store(str(file), write=True)
    stage = next(one for one in store.stages() if one.name == "tiny/stage-01")
    store.claim(stage, until=99, most=1, owner=Owner.current())
    store.close()
    ran = cli("delete", "tiny", "--yes", "--storage", "my.db")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "works on tiny/stage-01; stop it first" in ran.err
    assert [path.name for path in file.parent.glob("*.db")] == ["my.db"]


def test_the_name_has_to_be_typed(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Typed(io.StringIO):
        def isatty(self) -> bool:
            return True

    before = cared.rows(file)
    monkeypatch.setattr("sys.stdin", Typed("yes\n"))
    ran = cli("delete", "tiny/stage-02", "--storage", "my.db")
    assert (ran.code, "nothing was changed" in ran.err) == (2, True)
    assert cared.rows(file) == before
    monkeypatch.setattr("sys.stdin", Typed("tiny/stage-02\n"))
    assert cli("delete", "tiny/stage-02", "--storage", "my.db").code == 0
    assert cared.rows(file) != before


def test_what_was_copied_rewritten_and_deleted_is_there_for_programs(cli: Cli, file: Path) -> None:
    form = ("--storage", "my.db", "--format", "json")
    plain = json.loads(cli("db", "backup", "copy.db", *form).out)
    assert plain == {"database": "my.db", "copy": "copy.db", "bytes": file.with_name("copy.db").stat().st_size}
    before = file.stat().st_size
    plain = json.loads(cli("db", "vacuum", *form).out)
    assert plain == {"database": "my.db", "bytes_before": before, "bytes": file.stat().st_size}
    ran = cli("delete", "tiny/stage-02", *form)
    assert (ran.code, ran.out) == (2, "")
    plain = json.loads(cli("delete", "tiny/stage-02", "--yes", *form).out)
    (copy,) = file.parent.glob("my.before-delete-*.db")
    assert plain == {"deleted": [{"study": "tiny/stage-02", "trials": 4}], "backup": copy.name, "looks": 0}
    ran = cli("delete", "tiny", "--yes", "--no-backup", "--storage", "my.db", "--format", "csv")
    header, line = ran.out.splitlines()
    assert header == "deleted,backup,looks"
    assert line.startswith('"[{""study"": ""tiny/')
