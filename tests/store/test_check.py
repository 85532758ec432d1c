"""A check finds nothing in a sound database, and looks at a server's too; tests/store/test_repair.py plants damage."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import cared
import pytest
import sqlalchemy
import tiny

from hpsearch.__main__ import main
from hpsearch.errors import BadInput, BadStorage
from hpsearch.store.care.checking import check
from hpsearch.store.care.repairing import repair


def test_nothing_is_found_in_a_sound_database(tmp_path: Path) -> None:
    sound = cared.write(tmp_path)
    before = sound.read_bytes()
    found = check(str(sound))
    assert found.findings == []
    assert found.sound
    assert (found.studies, found.trials) == (7, 6 + 4 + 4 + 31 + 31 + 5)
    assert sound.read_bytes() == before


def test_a_file_that_never_was_a_database_is_none(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("not a database, but a text of some length\n" * 500)
    with pytest.raises(BadStorage, match="is not a SQLite database"):
        check(str(file))


def test_a_servers_database_is_looked_at_and_mended_too(postgres_url: str, tmp_path: Path) -> None:
    study = tiny.write(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main(["start", str(study), "--engine", "inline", "--storage", postgres_url]) == 0
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
        ("attribute", [4]), ("early-value", [1]), ("no-value", [0]), ("outside", [2]), ("score", [3])
    ]  # fmt: skip
    with pytest.raises(BadInput, match=r"pg_dump.*--no-backup"):
        repair(postgres_url, found)
    assert repair(postgres_url, found, backup=False).after.sound
