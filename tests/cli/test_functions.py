"""The command line over a function of the user's own, which stands in a file beside the study file."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Cli

STUDY = """
name = "mine"
[objective]
function = "mine.py:f"
direction = "minimize"
[space]
x = { low = 0.0, high = 1.0 }
[trials]
count = 4
"""
FUNCTION = """
def f(trial):
    print("of trial", trial.number)
    for step in range(3):
        trial.report(trial.params["x"] / (step + 1), step)
    if trial.number == 1:
        raise ValueError("no")
    return {"score": trial.params["x"], "folds": [0.5, 1.5]}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text(STUDY)
    (tmp_path / "mine.py").write_text(FUNCTION)
    return tmp_path


def test_a_stage_and_each_of_its_trials(cli: Cli, mine: Path) -> None:
    told = cli.ok("start mine.toml --engine inline --storage x.db")
    assert "4 finished trials (1 failed)" in told
    assert "val. loss" not in told
    failed = cli.ok("trials --trial 1 --storage x.db").splitlines()
    assert failed[0] == "mine/stage-01 trial 1: fail"
    assert "  reason = ValueError: no" in failed
    assert failed[-1] == "    ValueError: no"
    assert failed[failed.index("  the end of its output:") + 1] == "    of trial 1"
    good = cli.json("trials --trial 2 --storage x.db")
    assert (good["state"], good["score"], good["output"]) == ("COMPLETE", good["params"]["x"], None)
    assert (len(good["curve"]), good["attributes"]) == (3, {"folds": [0.5, 1.5]})
    assert "  folds = [0.5, 1.5]\n" in cli.ok("trials --trial 2 --storage x.db")
    assert "Score by epoch of the best 3 trials" in cli.ok("plot curves --storage x.db")
    assert "test examples" not in cli.ok("checklist --storage x.db")


def test_what_cannot_be_done(cli: Cli, mine: Path) -> None:
    cli.ok("start mine.toml --engine inline --storage x.db")
    for command, says in {
        "trials --trial 9 --storage x.db": "--trial 9: mine/stage-01 has 4 trials, numbered from 0",
        "trials --trial 1 --top 2 --storage x.db": "--trial 1 is one trial; leave out --top 2",
        "evaluate --storage x.db": "hpsearch has no test set for an objective of your own",
        "train mine.toml": "the objective of mine is your own (function), and only a network is trained here",
    }.items():
        cli.refused(command, says=says)
    (mine / "mine.py").unlink()
    cli.refused("start mine.toml --engine inline --storage new.db", says=f"there is no file {mine}/mine.py")
    assert not (mine / "new.db").exists()


def test_check_runs_one_trial(cli: Cli, mine: Path) -> None:
    assert "minimize score of mine.py:f" in cli.ok("check mine.toml")
    (mine / "mine.py").write_text("def f(trial):\n    return trial.suggest_int('n', 1, 3)\n")
    assert "1 .. 3, as trial 0 declares it" in cli.ok("check mine.toml")
    (mine / "mine.py").write_text("def f(trial):\n    return None\n")
    checked = cli.ok("check mine.toml")
    assert "trial 0 failed: the objective returned None" in checked
    assert ": no forecast\n" in checked
    (mine / "mine.py").write_text("import nothing_of_that_name\n")
    cli.refused("check mine.toml", says="importing mine.py failed: ModuleNotFoundError")


def test_an_exported_stage_goes_on_elsewhere_as_here(cli: Cli, mine: Path) -> None:
    """Its parameters are those that its trials declare."""
    (mine / "mine.toml").write_text(STUDY.partition("[space]")[0])
    (mine / "mine.py").write_text("def f(trial):\n    return trial.suggest_float('x', 0, 1 + trial.number)\n")
    cli.ok("start mine.toml --engine inline --trials 4 --storage here.db")
    cli.ok("export --storage here.db --out mine.json")
    cli.ok("import mine.json --storage there.db")
    ended = []
    for storage in ("here.db", "there.db"):
        cli.ok(f"start mine.toml --engine inline --trials 8 --storage {storage}")
        assert "sound" in cli.ok(f"db check --storage {storage}")
        ended.append([(row["trial"], row["x"], row["score"]) for row in cli.json(f"trials --storage {storage}")])
    assert ended[0] == ended[1]
    assert len({x for _, x, _ in ended[0]}) == 8
