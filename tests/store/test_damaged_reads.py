"""A damaged database that is read, not checked: one line that says where to look, whatever part of it is hit."""

from __future__ import annotations

import contextlib
from pathlib import Path

import cared
import pytest

from hpsearch.errors import StorageFailure
from hpsearch.store import open_store


@pytest.mark.parametrize(
    ("damage", "how"),
    [
        (
            "UPDATE trial_user_attributes SET value_json = '{\"a' WHERE key = 'validation_loss'",
            "Unterminated string",
        ),
        (
            "UPDATE trial_user_attributes SET value_json = CAST(X'22ff22' AS TEXT) WHERE key = 'hits'",
            "a text that is none",
        ),
        ("UPDATE study_user_attributes SET value_json = CAST(X'22ff22' AS TEXT)", "a text that is none"),
        ("DROP TABLE trial_intermediate_values", "no such table: trial_intermediate_values"),
    ],
)
def test_damage_that_is_met_is_said_in_one_line(tmp_path: Path, damage: str, how: str) -> None:
    file = cared.write(tmp_path)
    cared.run_sql(file, damage)
    with contextlib.closing(open_store(str(file))) as store, pytest.raises(StorageFailure) as caught:
        store.columns(store.stages()[0], top=3, hits=True)
    said = str(caught.value)
    assert said.startswith(f"the database {file} is damaged (")
    assert how in said
    assert "`hpsearch db check` says more" in said
    assert "\n" not in said
