"""A check finds every kind of damage that is planted, names it, and finds nothing else."""

from __future__ import annotations

from pathlib import Path

import cared
import pytest
from cared import PLANTS, Plant

from hpsearch.store.care.checking import check


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
