"""A check finds every kind of damage that is planted, names it, and finds nothing else."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import cared
import pytest
import sqlalchemy
import tiny
from cared import PLANTS, Plant

from hpsearch.__main__ import main
from hpsearch.errors import BadInput
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


@pytest.mark.parametrize("plant", PLANTS, ids=[f"{i}-{plant.kind}" for i, plant in enumerate(PLANTS)])
def test_damage_is_found_and_named(tmp_path: Path, plant: Plant) -> None:
    sound = cared.write(tmp_path)
    cared.run_sql(sound, plant.sql)
    found = check(str(sound)).findings
    kinds = {finding.kind for finding in found}
    assert plant.kind in kinds, found
    named = [finding for finding in found if finding.kind == plant.kind]
    assert plant.study in {finding.study for finding in named}, found
    assert kinds <= {plant.kind, *plant.also}, found
    assert (named[0].mend is not None) is plant.mended, named


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
