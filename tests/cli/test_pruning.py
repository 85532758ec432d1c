"""Pruning at the door: what the commands say of trials that were stopped early."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from commands import START, Cli, Made

STOPPING = tiny.text(training={"epochs": 8}, pruning={"cohort": 12, "reduction_factor": 3, "min_epochs": 2})
TWELVE = f"{START} --trials 12 --pruner halving"


@pytest.fixture
def searched(made: Made) -> Cli:
    """A stage of twelve trials, most of which were stopped early."""
    return made(TWELVE, study=STOPPING)


def test_start_says_how_many_were_stopped(made: Made) -> None:
    ran = made(study=STOPPING)(*TWELVE.split())
    assert ran.code == 0, ran.err
    assert "pruned)" in ran.out
    assert "next: hpsearch start tiny --trials 100 " in ran.out  # as `findings` says: so few say little


def test_status_trials_and_narrow_count_them(searched: Cli) -> None:
    (status,) = json.loads(searched("status", "--format", "json").out)
    stopped, complete = status["pruned"], status["finished"] - status["pruned"]
    assert stopped > 0
    assert status["pruning"] == "halving"
    assert "pruned" in searched("status").out.splitlines()[0]
    assert searched("status").out.splitlines()[2] == "pruned by halving: tiny/stage-01"
    trials = json.loads(searched("trials", "--state", "pruned", "--format", "json").out)
    assert len(trials) == stopped
    assert {row["state"] for row in trials} == {"PRUNED"}
    assert {row["reason"] for row in trials} == {"stopped after epoch 2"}
    assert searched("trials").out.count("  stopped after epoch 2\n") == stopped
    assert len(json.loads(searched("trials", "--top", "12", "--format", "json").out)) == complete
    narrowed = searched("narrow", "--top", "2", "--dry-run")
    assert "of 12 trials (" in narrowed.out
    assert f"; {stopped} pruned" in narrowed.out
    refused = searched("narrow", "--top", "12")
    assert refused.code == 2
    assert f"there are {complete} ({stopped} more were pruned)" in refused.err


def test_narrowing_later_goes_by_the_plan_that_the_stage_keeps(searched: Cli, tmp_path: Path) -> None:
    """Whatever the study file has come to say: the trials would be trained, and then there would be too few."""
    file = tiny.write(tmp_path, training={"epochs": 8}, pruning={"cohort": 12, "reduction_factor": 2, "min_epochs": 4})
    ran = searched("start", str(file), "--trials", "24", "--stages", "2", "--top", "12", "--engine", "inline")
    assert ran.code == 2
    assert "pruning by halving may leave only 11 complete" in ran.err


def test_a_stage_of_another_version_is_noticed(searched: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = ("start", str(tmp_path / "tiny.toml"), "--trials", "12", "--engine", "inline")
    assert "was begun with hpsearch" not in searched(*again).err
    monkeypatch.setattr("hpsearch.search.stage.version_of", lambda package: "99")
    ran = searched(*again)
    assert ran.code == 0
    assert "tiny/stage-01 was begun with hpsearch" in ran.err


def test_another_rule_is_refused_in_one_line(searched: Cli, tmp_path: Path) -> None:
    ran = searched("start", str(tmp_path / "tiny.toml"), "--pruner", "median")
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
    assert "tiny/stage-01 was begun with pruning rule halving" in ran.err


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("none", "none: every trial runs to the end"),
        (
            "halving",
            "halving after epochs 1, 4: the best 1 in 4 of each cohort of 100 continue, and trials tied at the cut-off"
            "; at least 47 of 320 epochs (15%)",
        ),
        ("median", "median after epochs 1, 2, 4, 8: each cohort of 20 against the median of the trials before it"),
    ],
)
def test_check_says_what_it_will_do(cli: Cli, tmp_path: Path, rule: str, says: str) -> None:
    file = tiny.write(tmp_path, training={"epochs": 16}, pruning={"rule": rule})
    ran = cli("check", str(file), "--trials", "20")
    assert ran.code == 0
    assert says in ran.out
    # As `start` takes it, whatever the file says.
    file = tiny.write(tmp_path, training={"epochs": 16}, pruning={"rule": "median" if rule == "none" else "none"})
    assert cli("check", str(file), "--trials", "20", "--pruner", rule).out.count(says) == 1
