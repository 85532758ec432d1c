"""Tables of other tools, as these wrote them (tests/imports): states, hyperparameters, better scores, bad cells."""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
import pytest
from commands import Cli

from hpsearch.exchange.tools import KERAS_TUNER, TOOLS, better, choice, typed
from hpsearch.records import Stage
from hpsearch.space import Categorical, Float, Int
from hpsearch.store import open_store

FILES = Path(__file__).parents[1] / "imports"
MANUAL = Path(__file__).parents[2] / "hpsearch/docs/howto-export.md"


def imported(cli: Cli, source: str, *options: str) -> tuple[Stage, dict[str, list[Any]], str]:
    """Import a file as the search ``x``: its stage, its trials, and the notes."""
    ran = cli("import", source, "--name", "x", *options, "--storage", "x.db")
    assert ran.code == 0, ran
    with closing(open_store("x.db")) as store:
        (stage,) = store.stages("x")
        return stage, dict(store.columns(stage)), ran.err


OPTUNA = {"COMPLETE": 9, "PRUNED": 3, "FAIL": 3, "WAITING": 1}
RANGES: dict[str, Any] = {  # by file: as the tool has them, or as far as its trials reach
    "dashboard.csv": {
        "act": Categorical(("relu", "tanh")),
        "lr": Float(0.0001324134959026389, 0.2670632423256616, True),
        "units": Int(8, 64),
    },
    "ray.csv": {
        "lr": Float(0.00010388230796792486, 0.8606263996852496, True),
        "act": Categorical(("relu", "tanh")),
        "model/layers": Categorical(("[8, 8]", "[8]")),
    },
    "cv_results.csv": {"hidden_layer_sizes": Categorical(("(10, 10)", "(10,)", "(20,)"))},
    "cv_halving.csv": {"max_features": Float(0.5, 1.0)},
    "keras_tuner": {
        "units": Int(4, 32, step=4),
        "act": Categorical(("relu", "tanh")),
        "dropout": Categorical((False, True)),
        "lr": Float(1e-4, 1e-1, log=True),
        "rate": Float(0.1, 0.5),
    },
}


@pytest.mark.parametrize(
    ("source", "options", "states", "best"),
    [
        ("dashboard.csv", "--direction maximize", OPTUNA, 0.8995516696699736),
        ("optuna5.csv", "--direction maximize", OPTUNA, 0.8995516696699736),
        ("optuna3_multi_index.csv", "--direction maximize", OPTUNA, None),
        ("ray.csv", "--metric mean_accuracy", {"COMPLETE": 8}, 0.9956545955945845),
        ("cv_results.csv", "", {"COMPLETE": 12}, 0.72),
        ("cv_halving.csv", "", {"COMPLETE": 3, "PRUNED": 8}, None),
        ("wandb.csv", "--metric summary.val_acc", {"COMPLETE": 6}, None),
        ("keras_tuner", "", {"COMPLETE": 3}, 0.8500000238418579),
    ],
)
def test_a_real_export(cli: Cli, source: str, options: str, states: dict[str, int], best: float | None) -> None:
    stage, columns, notes = imported(cli, str(FILES / source), *options.split())
    assert "read as" in notes
    assert stage.direction == "maximize"
    assert Counter(columns["state"]) == states
    ranges = RANGES.get(source, {})
    assert {name: stage.space.get(name) for name in ranges} == ranges
    assert not {"Number", "number", "iter", "timestamp", "pid", "done", "_step"} & stage.space.keys()
    scores = [score for score, state in zip(columns["score"], columns["state"], strict=True) if state == "COMPLETE"]
    assert best in (None, pytest.approx(max(scores)))
    assert all(columns["reason"][row] for row, state in enumerate(columns["state"]) if state == "FAIL")
    cli.ok("narrow x --top 3 --dry-run --storage x.db")


def test_the_manual_has_every_tool() -> None:
    text = MANUAL.read_text("utf-8")
    for prefix in (tool.prefix for tool in TOOLS):
        assert f"`{prefix}" in text, prefix
    assert KERAS_TUNER.partition(",")[0] in text


@pytest.mark.parametrize(
    ("state", "becomes"),
    [
        ("finished", "COMPLETE"),
        ("TERMINATED", "COMPLETE"),
        ("TrialState.COMPLETE", "COMPLETE"),
        ("TrialState.PRUNED", "PRUNED"),
        ("crashed", "FAIL"),
        ("killed", "FAIL"),
        ("ERROR", "FAIL"),
        ("whatever", "FAIL"),
        ("", "FAIL"),
        ("running", "WAITING"),
        ("PENDING", "WAITING"),
    ],
)
def test_only_complete_trials_win(cli: Cli, state: str, becomes: str) -> None:
    rows = {"config/lr": [0.1, 0.2, 0.3], "status": ["finished", "finished", state], "accuracy": [0.5, 0.6, 0.99]}
    pd.DataFrame(rows).to_csv("t.csv", index=False)
    _, columns, _ = imported(cli, "t.csv", "--metric", "accuracy")
    assert columns["state"] == ["COMPLETE", "COMPLETE", becomes]
    best = cli.json("best x --storage x.db")
    assert best["trial"] == (2 if becomes == "COMPLETE" else 1)


def test_a_table_of_nothing_but_crashes_has_no_best(cli: Cli) -> None:
    pd.DataFrame({"config/lr": [0.1, 0.2], "status": ["crashed", ""], "acc": [0.5, 0.6]}).to_csv("t.csv", index=False)
    cli.refused("import t.csv --metric acc --storage x.db", says="no trial with a score")


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("val_loss", "minimize"),
        ("summary.valAcc", "maximize"),
        ("neg_mean_squared_error", "maximize"),
        ("mean_test_neg_log_loss", "maximize"),
        ("test_f1", "maximize"),
        ("score", None),
        ("accuracy_loss", None),
    ],
)
def test_the_better_scores_by_the_metric_s_name(metric: str, direction: str | None) -> None:
    assert better(metric) == direction


def test_the_direction_is_asked_for_where_it_cannot_be_known(cli: Cli) -> None:
    says = "is a higher or a lower 'Value' better? Give --direction maximize or --direction minimize"
    cli.refused(f"import {FILES / 'dashboard.csv'} --storage x.db", says=says)
    assert not Path("x.db").exists()


@pytest.mark.parametrize(
    ("cells", "values", "bad"),
    [
        (["1", " 2 ", ""], [1, 2, None], []),
        (["1", "2.0", "1e-3"], [1.0, 2.0, 0.001], []),
        (["8.0", None, "16.0"], [8, None, 16], []),  # pandas' whole numbers where one is missing
        (["1.0", "2.0"], [1.0, 2.0], []),
        (["0.1", "oops", "0.2"], [0.1, None, 0.2], [1]),
        (["0.1", "inf", "n/a"], [0.1, None, None], [1]),
        (["1", "9" * 5000], [1, None], [1]),
        (["1", str(2**64)], [1, None], [1]),
        (["3", "5", "auto", "auto", "3"], ["3", "5", "auto", "auto", "3"], []),
        (["True", "false", ""], [True, False, None], []),
        (["relu", "1_2", "nan", None], ["relu", "1_2", "nan", None], []),
        ([[8, 8], (8,), None], ["[8, 8]", "[8]", None], []),
    ],
)
def test_cells_have_one_type(cells: list[Any], values: list[Any], bad: list[int]) -> None:
    result = typed(cells)
    assert result == (values, bad)
    assert list(map(type, result[0])) == list(map(type, values))


def test_a_bad_cell_is_named_and_fails_its_trial(cli: Cli) -> None:
    Path("t.csv").write_text(
        "param_lr,param_n,mean_test_score\n0.1,1,0.5\n0.2,2,0.6\noops,3,0.99\n0.4,4,n.a.\n0.5,5,inf\n"
    )
    _, columns, notes = imported(cli, "t.csv", "--range", "n=1:9")
    assert columns["state"] == ["COMPLETE", "COMPLETE", "FAIL", "FAIL", "FAIL"]
    reasons = ["lr = 'oops' is no number", "mean_test_score = 'n.a.' is no number", "the score is inf"]
    assert columns["reason"][2:] == reasons
    assert "lr: 'oops' in row 3 is no number; that trial failed" in notes


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_may_be_written_as_spreadsheets_do(cli: Cli, packed: bool) -> None:
    rows = [
        ("params_lr", "params_layers", "accuracy"),
        ("0,1", "100,50", "0,5"),
        ("0,2", "8", "0,75"),
        ("2,0e-1", "8", "1"),
    ]
    text = "\ufeff" + "".join(f"{';'.join(row)}\r\n" for row in rows)
    name = "t.csv.gz" if packed else "t.tsv"
    content = (text if packed else text.replace(";", "\t")).encode("utf-8")
    Path(name).write_bytes(gzip.compress(content) if packed else content)
    _, columns, _ = imported(cli, name, "--metric", "accuracy")
    assert (columns["score"], columns["param:lr"]) == ([0.5, 0.75, 1.0], [0.1, 0.2, 0.2])


def test_times_of_tables_are_in_utc(cli: Cli) -> None:
    text = "params_lr,mean_accuracy,datetime_start,datetime_complete\n"
    text += "1,2,2026-01-02 12:00:00.5,2026-01-02T12:00:00+09:00\n5,3,soon,\n"
    Path("t.csv").write_text(text)
    _, columns, _ = imported(cli, "t.csv", "--metric", "mean_accuracy")
    local = datetime(2026, 1, 2, 12, 0, 0, 500_000).astimezone(UTC)
    assert columns["started"][0] == local.replace(tzinfo=None)
    assert columns["finished"][0] == datetime(2026, 1, 2, 3)


@pytest.mark.parametrize("damage", ["{", "[]", '{"status": 1}', "[" * 5000, '"\\ud800"'])
def test_a_damaged_folder_of_keras_tuner_is_refused(cli: Cli, damage: str) -> None:
    shutil.copytree(FILES / "keras_tuner", "k")
    Path("k/trial_1/trial.json").write_text(damage)
    cli.refused("import k --storage x.db", says="trial_1")


def test_choices_that_are_none_of_ours_are_texts() -> None:
    given = [None, [1, 2], (3,), {"a": 1}, 2**70, float("nan"), "x", 1, True, 0.5]
    shown = ["None", "[1, 2]", "[3]", '{"a": 1}', str(2**70), "nan", "x", 1, True, 0.5]
    assert [choice(value) for value in given] == shown
    assert json.dumps(shown)


def test_odd_columns_of_a_parquet_file(cli: Cli) -> None:
    columns = {
        "params_lr": pyarrow.array([0.1, 0.2, 0.3]),
        "params_n": pyarrow.array([Decimal("1.5"), None, Decimal("2.5")]),
        "params_layers": pyarrow.array([[8, 8], [8], [8]]),
        "params_big": pyarrow.array([2**64 - 1, 1, 2], pyarrow.uint64()),
        "params_bytes": pyarrow.array([b"\xff", b"a", b"b"]),
        "stage": pyarrow.array([[1], [1], [1]]),
        "acc": pyarrow.array(["0.5", "0.6", "\x1b[31m"]),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), "t.parquet")
    stage, read, notes = imported(cli, "t.parquet", "--metric", "acc")
    assert stage.space["layers"] == Categorical(("[8, 8]", "[8]"))
    assert stage.space["big"] == Float(1.0, float(2**64), log=True)
    assert read["state"] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert "1 of 2 scored trials have no value of n (it is conditional, or None)" in notes
    twice = pyarrow.table([columns["params_lr"], columns["params_lr"]], names=["params_lr", "params_lr"])
    pyarrow.parquet.write_table(twice, "t.parquet")
    cli.refused("import t.parquet --metric acc --storage y.db", says="has a column twice")
