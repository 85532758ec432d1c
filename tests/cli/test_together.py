"""Several commands on one database at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

ROOT = Path(__file__).resolve().parents[2]


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """``hpsearch ARGUMENTS`` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "hpsearch", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_starts_at_once_on_a_fresh_database_share_the_stage(tiny: Path) -> None:
    starts = [
        # In the process itself: what is shared is the database, and every worker would be one process more.
        begin(tiny.parent, "start", "tiny.toml", "--trials", "40", "--engine", "inline", "--lanes", "2")
        for _ in range(3)
    ]
    for start in starts:
        out, err = start.communicate(timeout=120)
        assert start.returncode == 0, err
        assert "tiny/stage-01 has 40 finished trials" in out
        assert "locked" not in err
    study = optuna.load_study(study_name="tiny/stage-01", storage=f"sqlite:///{tiny.parent}/studies/hpsearch.db")
    assert [trial.number for trial in study.trials] == list(range(40))
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
