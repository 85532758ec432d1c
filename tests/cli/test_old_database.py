"""A database of hpsearch 0.2 goes on: two stages (the second pruned by halving), a confirmation and an evaluation."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from commands import Cli

MADE_BY_0_2 = Path(__file__).parents[1] / "databases" / "0.2.db"
STORED_TRIALS = 30


@pytest.fixture
def old(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line in a folder with that database."""
    shutil.copy(MADE_BY_0_2, tmp_path / "old.db")
    monkeypatch.setenv("HPSEARCH_STORAGE", "old.db")
    return cli


def stored() -> list[list[tuple[object, ...]]]:
    """Every row of the trials that were stored by 0.2, as it is stored."""
    with closing(sqlite3.connect("old.db")) as connection:
        return [
            sorted(connection.execute(f"SELECT * FROM {table} WHERE trial_id <= {STORED_TRIALS}"), key=repr)
            for table in (
                *("trials", "trial_params", "trial_values", "trial_intermediate_values"),
                *("trial_user_attributes", "trial_system_attributes", "trial_heartbeats"),
            )
        ]


def test_it_is_read(old: Cli) -> None:
    status = old("status")
    assert (status.code, status.err) == (0, "")
    assert ["tiny/stage-02", "stage-01", "12", "0", "9", "0", "0", "0.4"] in [
        line.split()[:8] for line in status.out.splitlines()
    ]
    best = json.loads(old("trials", "--top", "3", "--format", "json").out)
    assert [(trial["trial"], trial["validation_accuracy"]) for trial in best] == [(7, 0.4), (1, 0.325), (9, 0.2)]
    for words in (
        "best",
        "findings",
        "narrow --top 3 --dry-run",
        "compare tiny/stage-01 tiny/stage-02",
        "report --out r.html",
        "db check",
    ):
        ran = old(*words.split())
        assert ran.code == 0, (words, ran.err)
    assert Path("r.html").stat().st_size > 10_000


def test_it_goes_on_and_its_trials_stay_as_they_are(old: Cli) -> None:
    before = stored()
    assert len(before[0]) == STORED_TRIALS
    for words in (
        "start tiny --trials 14 --engine inline",
        "narrow --top 3",
        "start tiny --trials 2 --engine inline",
        "confirm --stage 2 --top 3 --repeats 3 --engine inline",
    ):
        ran = old(*words.split())
        assert ran.code == 0, (words, ran.err)
    assert stored() == before
    with closing(sqlite3.connect("old.db")) as connection:
        counts = dict(
            connection.execute("SELECT study_name, count(*) FROM trials JOIN studies USING (study_id) GROUP BY 1")
        )
    assert counts == {"tiny/stage-01": 12, "tiny/stage-02": 14, "tiny/stage-03": 2, "tiny/confirm-02": 9}
