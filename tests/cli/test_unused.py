"""Hyperparameters that not every trial uses, on the command line: people see no value without effect."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from commands import START, TINY, Cli, Made

SPACE = """\
optimizer = { choices = ["sgd", "momentum", "adam"] }
momentum = { low = 0.5, high = 0.9 }
beta1 = { low = 0.8, high = 0.9 }
batch_norm = { choices = [true, false] }
"""


@pytest.fixture
def mixed(made: Made) -> Cli:
    """The command line in a folder where a stage of twelve trials has run, some of them with momentum."""
    study = TINY.replace("weight_decay = { low = 1e-8, high = 1e-4, log = true }\n", SPACE)
    return made(f"{START} --trials 12", study=study)


def trials(cli: Cli) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(cli("trials", "--format", "json").out)
    return rows


def test_a_table_is_empty_where_a_value_had_no_effect(mixed: Cli) -> None:
    table = [line.split() for line in mixed("trials").out.splitlines()[1:]]
    shown = {row[0]: dict(zip([h for h in table[0] if h != "val."], row, strict=True)) for row in table[1:]}
    rows = trials(mixed)
    assert {row["optimizer"] for row in rows} == {"sgd", "momentum", "adam"}
    for row in rows:
        cell = shown[str(row["trial"])]["momentum"]
        assert cell == (f"{row['momentum']:.4g}" if row["optimizer"] == "momentum" else "-")
        assert shown[str(row["trial"])]["batch_norm"] == str(row["batch_norm"]).lower()


def test_programs_get_every_value_that_was_drawn(mixed: Cli) -> None:
    rows = trials(mixed)
    assert all(0.5 <= row["momentum"] <= 0.9 for row in rows)
    as_csv = list(csv.DictReader(io.StringIO(mixed("trials", "--format", "csv").out)))
    assert [float(row["momentum"]) for row in as_csv] == pytest.approx([row["momentum"] for row in rows], rel=1e-12)


def test_best_leaves_out_what_had_no_effect(mixed: Cli, tiny: Path) -> None:
    best = json.loads(mixed("best", "--format", "json").out)["params"]
    assert set(best) == {"lr", "optimizer", "momentum", "beta1", "batch_norm"}
    said = mixed("best").out
    assert f"  batch_norm = {str(best['batch_norm']).lower()}\n" in said
    assert (f"  momentum = {best['momentum']:.6g}\n" in said) == (best["optimizer"] == "momentum")
    unused = {"sgd": "momentum, beta1", "momentum": "beta1", "adam": "momentum"}[best["optimizer"]]
    assert f"\nsampled, but without effect in this trial: {unused}\n" in said


def test_check_says_what_is_fixed_and_where_a_range_holds(cli: Cli, tiny: Path) -> None:
    settings = 'epochs = 3\nlr_schedule = "cosine"\nlr_decay = 0.1\nevaluate_train = true'
    text = tiny.read_text().replace("weight_decay = { low = 1e-8, high = 1e-4, log = true }\n", SPACE)
    tiny.write_text(text.replace("epochs = 3", settings).replace("[training]", "dropout = 0.2\n[training]"))
    said = cli("check", str(tiny), "--jobs", "1", "--trials", "2").out
    assert "; relu, he, dropout 0.2\n" in said
    assert "  beta2 0.999, lr_schedule cosine, batch_size 20, 3 epochs, whole training set scored\n" in said
    assert "  momentum      0.5 .. 0.9, only where optimizer is momentum or nesterov\n" in said
    assert "  batch_norm    {true, false}\n" in said


@pytest.mark.parametrize(
    ("section", "pruner", "says"),
    [
        (
            "startup_trials = 9",
            "halving",
            "startup_trials has no effect: only rule = median uses that, and the rule is",
        ),
        ("cohort = 9\nmin_epochs = 1", "none", "min_epochs, cohort have no effect: only rule = halving or median uses"),
        ("cohort = 9\nstartup_trials = 9", "median", ""),
        ("startup_trials = 5", "halving", ""),  # as if nothing had been said
    ],
)
def test_a_key_that_the_rule_of_pruning_does_not_use_is_noticed(
    cli: Cli, tiny: Path, section: str, pruner: str, says: str
) -> None:
    tiny.write_text(f"{tiny.read_text()}[pruning]\n{section}\n")
    command = (str(tiny), "--trials", "2", "--pruner", pruner)
    noted = [cli(*words).err for words in (("check", *command), ("start", *command, "--engine", "inline"))]
    assert [("[pruning]" in err, says in err) for err in noted] == [(bool(says), True)] * 2
    # Said when the stage begins, and not again.
    assert "[pruning]" not in cli("start", *command, "--engine", "inline").err
