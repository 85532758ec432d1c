"""Pruning at the door: what the commands say of trials that were stopped early."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from commands import Cli


@pytest.fixture
def searched(cli: Cli, tmp_path: Path) -> Cli:
    """A stage of twelve trials, most of which were stopped early."""
    file = tiny.write(tmp_path, training={"epochs": 8}, pruning={"cohort": 12, "reduction_factor": 3, "min_epochs": 2})
    ran = cli("start", str(file), "--trials", "12", "--pruner", "halving", "--engine", "inline")
    assert ran.code == 0, ran.err
    assert "early" in ran.out
    return cli


def test_status_trials_and_narrow_count_them(searched: Cli) -> None:
    (status,) = json.loads(searched("status", "--format", "json").out)
    stopped, complete = status["pruned"], status["finished"] - status["pruned"]
    assert stopped > 0
    assert "pruned" in searched("status").out.splitlines()[0]
    trials = json.loads(searched("trials", "--state", "pruned", "--format", "json").out)
    assert len(trials) == stopped
    assert {row["state"] for row in trials} == {"PRUNED"}
    assert len(json.loads(searched("trials", "--top", "12", "--format", "json").out)) == complete
    narrowed = searched("narrow", "--top", "2", "--dry-run")
    assert "of 12 trials (" in narrowed.out
    assert f"{stopped} were stopped early" in narrowed.out
    refused = searched("narrow", "--top", "12")
    assert refused.code == 2
    assert f"there are {complete} ({stopped} more were stopped early)" in refused.err


def test_another_rule_is_refused_in_one_line(searched: Cli, tmp_path: Path) -> None:
    ran = searched("start", str(tmp_path / "tiny.toml"), "--pruner", "median")
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
    assert "tiny/stage-01 was begun with --pruner halving, not median" in ran.err


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("none", "none: every trial runs to the end"),
        (
            "halving",
            "halving after epochs 1, 4: the best 1 in 4 of each cohort of 100 goes on; about 47 of 320 epochs (15%)",
        ),
        ("median", "median after epochs 1, 2, 4, 8: each cohort of 20 against the median of the trials before it"),
    ],
)
def test_check_says_what_it_will_do(cli: Cli, tmp_path: Path, rule: str, says: str) -> None:
    file = tiny.write(tmp_path, training={"epochs": 16}, pruning={"rule": rule})
    ran = cli("check", str(file), "--trials", "20")
    assert ran.code == 0
    assert says in ran.out
