"""Trials of others: tables and Optuna studies, and what can be done with them."""

from __future__ import annotations

import math
import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from commands import START, Cli, Ran

from hpsearch.objectives import kinds
from hpsearch.records import Stage
from hpsearch.search.recommendation import choose
from hpsearch.space import Categorical, Float, Int
from hpsearch.store import open_store

optuna.logging.set_verbosity(optuna.logging.WARNING)
DB = "studies/hpsearch.db"


def read(search: str) -> tuple[Stage, dict[str, list[Any]]]:
    """The only stage of a search, and its trials."""
    store = open_store(DB)
    (stage,) = store.stages(search)
    columns = store.columns(stage)
    store.close()
    return stage, columns


def refused(cli: Cli, *arguments: str, says: str) -> None:
    """Run an import that is refused, and writes nothing."""
    cli.refused("import", *arguments, says=says)
    assert not os.path.exists(DB)


def imported(cli: Cli, *arguments: str) -> Ran:
    """Run an import that succeeds."""
    ran = cli("import", *arguments)
    assert ran.code == 0, ran
    return ran


NAMED = [word for name in ("lr", "units", "act", "nesterov", "dropout") for word in ("--parameter", name)]


def table(rows: int = 30) -> pd.DataFrame:
    """A table as somebody keeps one: learning rates around 0.01 are the best."""
    rng = np.random.default_rng(0)
    lr = 10 ** rng.uniform(-5, -1, rows)
    return pd.DataFrame(
        {
            "lr": lr,
            "units": np.r_[16, 512, rng.integers(16, 512, rows - 2)],
            "act": rng.choice(["relu", "größe"], rows),
            "nesterov": rng.choice([True, False], rows),
            "dropout": rng.uniform(0.1, 0.5, rows),
            "accuracy": np.round(0.9 - np.abs(np.log10(lr) + 2) / 5, 3),
        }
    )


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_with_ranges_from_its_data(cli: Cli, form: str) -> None:
    frame = table()
    frame.to_csv("old.csv", index=False) if form == "csv" else frame.to_parquet("old.parquet", index=False)
    ran = imported(cli, f"old.{form}", "--metric", "accuracy", *NAMED)
    assert "no more than the data reach" in ran.err
    assert "p-values take the trials for random draws" in ran.err
    stage, columns = read("old")
    assert stage.space == {
        "lr": Float(frame["lr"].min(), frame["lr"].max(), log=True),
        "units": Int(int(frame["units"].min()), int(frame["units"].max()), log=True),
        "act": Categorical(("größe", "relu")),
        "nesterov": Categorical((False, True)),
        "dropout": Float(frame["dropout"].min(), frame["dropout"].max()),
    }
    assert (stage.direction, stage.metric, kinds.trainable(stage)) == ("maximize", "accuracy", False)
    assert stage.imported["from"] == f"old.{form}"
    for name in stage.space:
        assert columns[f"param:{name}"] == frame[name].tolist()
    assert columns["score"] == frame["accuracy"].tolist()


def test_a_table_with_ranges_that_are_given(cli: Cli) -> None:
    table().to_csv("old.csv", index=False)
    options = ("--range", "lr=1e-6:1:log", "--range", "units=16:512", "--range", "act=relu,größe,tanh")
    ran = imported(cli, "old.csv", "--metric", "accuracy", "--direction", "minimize", *NAMED, *options, "--name=mine")
    stage, _ = read("mine")
    given = [Float(1e-6, 1.0, log=True), Int(16, 512), Categorical(("relu", "größe", "tanh"))]
    assert [stage.space[name] for name in ("lr", "units", "act")] == given
    assert stage.direction == "minimize"
    assert "dropout" in ran.err
    assert "lr 1e-06" not in ran.err


def test_old_results_are_narrowed_looked_at_and_gone_on_from(cli: Cli, tiny: Path) -> None:
    (table()[["lr", "accuracy"]] + [0, 9]).to_csv("tiny.csv", index=False)  # on a scale of its own
    imported(cli, "tiny.csv", "--metric", "accuracy", "--range", "lr=1e-3:1:log")
    for command in ("status", "trials", "best"):
        assert "tiny/stage-01" in cli.ok(command)
    assert "accuracy" in cli.ok("best")
    # Its trials cannot be trained here, and neither can another kind be added to them.
    two = tiny.read_text()
    study = two.replace("weight_decay =", "# weight_decay =")
    tiny.unlink()
    cli.refused("start tiny --engine inline", says="imported from tiny.csv without a study file")
    tiny.write_text(study)
    cli.refused(START, says="the trials of tiny/stage-01 were run elsewhere (tiny.csv)")
    own = "start it with a study file of your own: these trials were run elsewhere"
    assert f"made tiny/stage-02; next: {own}" in cli.ok("narrow --top 5 --expand")
    assert f"next: {own} (tiny/stage-02 is made and has no trial yet)" in cli.ok("checklist")
    # The next stage is ours, if the study file fits.
    for text, says in (
        (two, "must be the same hyperparameters"),
        (study + '[objective]\nmetric = "validation_loss"\n', "maximize"),
    ):
        tiny.write_text(text)
        cli.refused(START, says=says)
    tiny.write_text(study)
    cli.ok(f"{START} --pruner halving")
    first, second = cli.json("status")
    assert (second["stage"], second["from"], second["finished"]) == ("tiny/stage-02", "stage-01", 8)
    assert second["ranges"]["lr"] != first["ranges"]["lr"]
    # The scores made elsewhere decide nothing among those made here, and the ranges are no edit of the file.
    without = "the scores of tiny/stage-01 are left out: they were made elsewhere, on other data"
    assert cli.json("best")["stage"] == "tiny/stage-02"
    assert without in cli.ok("best")
    assert without in cli.ok("checklist")
    cli.ok("report tiny --out report.html")
    page = Path("report.html").read_text()
    assert without[1:] in page
    assert all(int(count) <= 8 for count in re.findall(r"[Bb]est of (\d+) trials with a score", page))
    assert re.search(r"Of [1-8] trials with a score, the best first", page)
    cli.refused("evaluate tiny", says="there is no test set")  # rather than: imported without a study file
    with closing(open_store(DB)) as store:
        choice = choose(store, store.stages("tiny"))
    assert (choice.stage.number, choice.why.endswith(without)) == (2, True)
    assert "has changed" not in cli(f"{START} --trials 8").err
    tiny.unlink()  # and from here on the database holds it
    assert "1 of them now" in cli.ok("start tiny --engine inline --trials 9")


def test_a_hyperparameter_of_others_need_not_be_what_it_is_here(cli: Cli) -> None:
    frame = table()
    frame["optimizer"] = ["SGD", "Adam"] * 15
    frame["momentum"] = np.random.default_rng(1).random(30)
    frame.to_csv("old.csv", index=False)
    imported(cli, "old.csv", "--metric", "accuracy", *NAMED, "--parameter", "optimizer", "--parameter", "momentum")
    assert cli.json("narrow --top 5 --dry-run")["ranges"]["momentum"]["top"] == 5
    own = "start it with a study file of your own function or command"
    where = f"{own}: hpsearch itself has no hyperparameter units, act, nesterov"
    assert f"made old/stage-02; next: {where}" in cli.ok("narrow --top 5")
    cli.refused("start old", says=f"narrow it, then {where}")
    assert "-" not in cli.ok("trials").split()  # no column of losses or seconds, of which nothing is known
    best = cli.ok("best")
    assert ("momentum" in best, "without effect" in best) == (True, False)


def test_ranges_of_the_data_are_logarithmic_beyond_a_decade(cli: Cli) -> None:
    rows = {"a": [0.1, 1.0], "b": [0.1, 1.1], "c": [0, 100], "d": [1, 11], "score": [1, 2]}
    pd.DataFrame(rows).add_prefix("params_").rename(columns={"params_score": "score"}).to_csv("old.csv", index=False)
    imported(cli, "old.csv", "--direction", "maximize")
    ranges = [Float(0.1, 1.0), Float(0.1, 1.1, log=True), Int(0, 100), Int(1, 11, log=True)]
    assert list(read("old")[0].space.values()) == ranges


def test_a_score_of_a_trial_that_had_not_ended_is_none(cli: Cli) -> None:
    rows = "COMPLETE,0.1,0.5\nFAIL,0.3,0.9\nRUNNING,0.4,0.8\nCOMPLETE,0.5,0.7\n"
    Path("old.csv").write_text(f"state,params_lr,value\n{rows}")
    imported(cli, "old.csv", "--direction", "maximize")
    assert read("old")[1]["score"] == [0.5, None, None, 0.7]
    assert "sound" in cli.ok("db check")


def test_what_is_missing_in_a_table(cli: Cli) -> None:
    text = "params_lr,params_momentum,params_fixed,params_late,score\n"
    text += "0.1,0.5,3,,0.7\n0.2,,3,,0.8\n0.3,0.6,3,1,nan\n0.4,0.5,3,2,\n0.5,0.5,3,2,inf\n\n"
    Path("old.csv").write_text(text)
    ran = imported(cli, "old.csv", "--direction", "maximize")
    assert "1 of 2 scored trials have no value of momentum" in ran.err
    assert "late is left out: 2 of 2 scored trials" in ran.err
    assert "reach (lr 0.1 .. 0.5, momentum 0.5 .. 0.6): give" in ran.err  # what is left out has no range
    assert "fixed is left out" in ran.err
    stage, columns = read("old")
    assert list(stage.space) == ["lr", "momentum"]
    assert columns["param:momentum"] == [0.5, None, 0.6, 0.5, 0.5]
    assert columns["state"] == ["COMPLETE", "COMPLETE", "FAIL", "FAIL", "FAIL"]
    assert columns["reason"][2:] == ["no score", "no score", "the score is inf"]


@pytest.mark.parametrize("two_levels", [False, True])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_trials_dataframe_of_optuna(cli: Cli, form: str, two_levels: bool) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 1, 5), n_trials=12)
    frame = study.trials_dataframe(multi_index=two_levels)
    frame.to_csv("frame.csv") if form == "csv" else frame.to_parquet("frame.parquet")  # with its index
    imported(cli, f"frame.{form}", "--direction", "minimize")
    stage, columns = read("frame")
    assert list(stage.space) == ["n", "x"]
    assert columns["score"] == [trial.value for trial in study.trials]


def test_our_csv_is_a_table_like_any_other(searched: Cli) -> None:
    searched.ok("export --out r.csv")
    assert "no more than the data reach" in imported(searched, "r.csv").err  # the trials of the two files
    stage, columns = read("r")
    assert set(stage.space) == {"lr", "weight_decay"}
    assert columns["score"] == read("tiny")[1]["score"]
    searched.refused("import r.curves.csv", says="has curves only")
    for direction in ("maximize", "minimize"):  # as the table says, whatever the score is called
        pd.read_csv("r.trials.csv").assign(metric="x", direction=direction).to_csv("x.csv", index=False)
        imported(searched, "x.csv", "--name", direction)
        assert (read(direction)[0].direction, read(direction)[0].metric) == (direction, "x")
    trials = pd.read_csv("r.trials.csv")
    pd.concat([trials, trials.assign(stage="tiny/stage-02")]).to_csv("two.csv", index=False)
    searched.refused("import two.csv", says="trials of several stages")


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("params_lr,score\n", "", "no row"),
        ("params_lr,acc\n1,2\n", "", "Give --metric COLUMN; there are: acc"),
        ("params_lr,acc\n1,2\n", "--metric ac", "did you mean 'acc'"),
        ("params_lr,score\n1,a\n", "--metric score", "no trial with a score"),
        ("params_lr,score\n1,nan\n2,\n", "", "no trial with a score"),
        ("lr,lr,score\n1,2,3\n", "", "column 'lr' occurs twice"),
        ("score\n1\n", "", "which columns are hyperparameters"),
        ("params_lr,score\n1,2\n1,3\n", "", "no hyperparameter that can be narrowed"),
        ("params_lr,score\n1,2\n3,4\n", "--range lr=9", "other values too (1, 3)"),
        ("params_lr,score\n1,2\n3,4\n", "--range lr=5:1", "is not below"),
        ("params_lr,score\n1,2\n3,4\n", "--range lr=0:9:log", "above 0"),
        ("params_lr,score\n1,2\n3,4\n", "--range lr=a:9", "NAME=LOW:HIGH"),
        ("params_lr,score\n1,2\n3,4\n", "--range lr=1:2:lin", "NAME=LOW:HIGH"),
        ("params_lr,score\n1,2\n3,4\n", "--range wd=1:2", "no column 'wd'"),
        ("params_lr,score\n1,2\n3,4\n", "--parameter wd", "no column 'wd'"),
        ("params_lr,score\n1,2\n3,4\n", "--study-name x", "--study-name: not for a table"),
        ("params_run,score\n" + "".join(f"r{n},{n}\n" for n in range(200)), "", "200 different texts"),
        ("params_run,score\n" + "".join(f"r{n},{n}\n" for n in range(200)), "--parameter run", "run: it holds 200"),
        (f"params_lr,score\n{'9' * 5000},1\n2,2\n", "", "no hyperparameter that can be narrowed"),
        ("params_l\x07r,score\n1,2\n3,4\n", "", "no name for a hyperparameter"),
    ],
)
def test_tables_that_are_refused(cli: Cli, text: str, options: str, says: str) -> None:
    Path("old.csv").write_text(text)
    refused(cli, "old.csv", *options.split(), *([] if "acc" in text else ["--direction", "maximize"]), says=says)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "old.pkl",
            b"cos\nsystem\n(S'true'\ntR.",
            "old.pkl is a .pkl file; give .csv, .tsv, .txt, .data, .parquet, .json or a database URL",
        ),
        ("a b.csv", b"param_lr,mean_test_score\n1,2\n3,4\n", "--name"),
        ("gone.csv", None, "cannot read gone.csv: No such file"),
        (
            "mine.toml",
            b"name = 'mine'",
            "mine.toml is a study file and holds no trials; `hpsearch start mine.toml` runs",
        ),
        ("mine", b"1", "mine is a file without an ending; give .csv"),
        (".", None, "is a folder"),
    ],
)
def test_files_that_are_refused(cli: Cli, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    refused(cli, name, says=says)


def test_what_nobody_named_is_no_hyperparameter(cli: Cli) -> None:
    frame = table()
    frame["row"] = range(1, len(frame) + 1)
    frame["when"] = pd.date_range("2026-01-01", periods=len(frame))
    frame.to_parquet("old.parquet", index=False)
    refused(cli, "old.parquet", "--metric", "accuracy", says="Give --parameter COLUMN for each; there are: lr, units")
    imported(cli, "old.parquet", "--metric", "accuracy", "--parameter", "row", "--range", "lr=1e-6:1:log")
    assert read("old")[0].space == {"row": Int(1, 30, log=True), "lr": Float(1e-6, 1.0, log=True)}
    frame = frame.add_prefix("config.").rename(columns={"config.accuracy": "accuracy"})
    frame.assign(**{"config.note": None}).to_parquet("wandb.parquet", index=False)
    ran = imported(cli, "wandb.parquet", "--metric", "accuracy")
    assert list(read("wandb")[0].space) == ["lr", "units", "act", "nesterov", "dropout"]
    assert "row is left out: it numbers the rows" in ran.err
    assert "note is left out: it has one value in all trials that have any" in ran.err
    assert "when is left out: its texts are different in every trial" in ran.err
    frame.head(9).to_parquet("few.parquet", index=False)  # by chance
    imported(cli, "few.parquet", "--metric", "accuracy")
    assert "when" in read("few")[0].space


STORAGE = "sqlite:///theirs.db"


@pytest.fixture
def theirs_db(cli: Cli, empty_database: bytes) -> None:
    """Puts an empty database of Optuna's into the folder, for Optuna takes long to make one."""
    Path("theirs.db").write_bytes(empty_database)


def theirs(**options: Any) -> optuna.Study:
    """A study in another database."""
    named: dict[str, Any] = {"study_name": "theirs", **options}
    return optuna.create_study(storage=STORAGE, sampler=optuna.samplers.RandomSampler(0), **named)


def objective(trial: optuna.Trial) -> float:
    """With every distribution that there is, a curve, and a conditional value."""
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    kind = trial.suggest_categorical("kind", ["a", True, 3, 0.5])
    trial.suggest_int("n", 2, 20, step=3)
    trial.suggest_int("units", 1, 100, log=True)
    trial.suggest_float("drop", 0, 1, step=0.25)
    trial.suggest_float("fixed", 2, 2)
    if kind == "a":
        trial.suggest_float("only_a", 0, 1)
    if trial.number in (3, 4):  # of these none is complete
        trial.suggest_float("late", 0, trial.number)
    for step in range(3):
        trial.report(step / (trial.number + 1), step)
    trial.set_user_attr("note", {"ü": [1]})
    trial.set_user_attr("seconds", "many")
    if trial.number % 5 == 3:
        raise optuna.TrialPruned
    if trial.number % 5 == 4:
        raise ValueError("broken")
    return -abs(math.log10(lr) + 3)


@pytest.mark.usefixtures("theirs_db")
def test_an_optuna_study(cli: Cli) -> None:
    study = theirs(direction="maximize")
    study.optimize(objective, n_trials=8, catch=(ValueError,))
    study.ask()
    before = Path("theirs.db").read_bytes()
    ran = imported(cli, STORAGE)
    assert Path("theirs.db").read_bytes() == before
    stage, columns = read("theirs")
    assert stage.space == {
        "lr": Float(1e-5, 1e-1, log=True),
        "kind": Categorical(("a", True, 3, 0.5)),
        "n": Int(2, 20, step=3),
        "units": Int(1, 100, log=True),
        "drop": Float(0.0, 1.0, step=0.25),
        "fixed": Categorical((2.0,)),
        "only_a": Float(0.0, 1.0),
    }
    assert "scored trials have no value of only_a (it is conditional, or None): it is narrowed by the others" in ran.err
    assert "late is left out: 6 of 6 scored trials" in ran.err
    assert "late was sampled" not in ran.err
    again = optuna.load_study(study_name="theirs/stage-01", storage=f"sqlite:///{DB}")
    for old, new in zip(study.trials[:-1], again.trials[:-1], strict=True):
        assert (old.state, old.value, old.intermediate_values) == (new.state, new.value, new.intermediate_values)
        assert {name: value for name, value in old.params.items() if name != "late"} == new.params
        assert (old.datetime_start, old.datetime_complete) == (new.datetime_start, new.datetime_complete)
        assert new.user_attrs["note"] == {"ü": [1]}
        assert "seconds" not in new.user_attrs
    assert columns["state"][-1] == "WAITING"
    assert stage.imported["from"] == "theirs in theirs.db"
    cli.ok("narrow theirs --top 5 --dry-run")
    cli.ok("trials theirs --top 3")


def odd(trial: optuna.Trial) -> float:
    """With choices that are none of ours, and scores that are no number."""
    loss = (trial.suggest_float("lr", 1e-4, 1) - 0.01) ** 2
    hidden: Any = [[100], [100, 50]]
    loss += len(str(trial.suggest_categorical("hidden", hidden)))
    loss += trial.suggest_categorical("weight", [None, "balanced"]) is None
    trial.suggest_categorical("one", [1, True, 1.0])
    trial.report(loss, 1)
    return [loss, math.inf, math.nan][trial.number % 3]


@pytest.mark.filterwarnings("ignore:Choices for a categorical")
@pytest.mark.usefixtures("theirs_db")
def test_none_and_lists_are_choices_and_odd_scores_failures(cli: Cli) -> None:
    theirs().optimize(odd, n_trials=9)
    before = os.stat("theirs.db")
    ran = imported(cli, STORAGE)
    assert os.stat("theirs.db").st_mtime_ns == before.st_mtime_ns
    stage, columns = read("theirs")
    assert stage.space == {
        "lr": Float(1e-4, 1.0),
        "hidden": Categorical(("[100]", "[100, 50]")),
        "weight": Categorical((None, "balanced")),
    }
    assert "one is left out: choice True is repeated" in ran.err
    assert columns["state"] == ["COMPLETE", "FAIL", "FAIL"] * 3
    assert columns["reason"][1:3] == ["the score is inf", "it failed where it was run"]
    # The score's curve is the one that such a study has, under the score's name.
    cli.ok("plot curves theirs --out c.html")
    cli.refused("plot curves theirs --out d.html --quantity loss", says="give score")
    Path("table.csv").write_text("lr,score\n0.1,0.5\n0.2,0.6\n")
    cli.ok("import table.csv --metric score --parameter lr --direction maximize --name table")
    cli.refused("plot curves table --out e.html", says="no trial of table/stage-01 with a score has a learning curve")
    assert not Path("e.html").exists()
    cli.ok("report theirs")


@pytest.mark.usefixtures("theirs_db")
@pytest.mark.parametrize("version", ["4.6.0", "5.0.0"])
def test_times_of_studies_are_in_utc(cli: Cli, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    theirs().optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    change("UPDATE version_info SET library_version = ?", version)
    change("UPDATE trials SET datetime_start = ?", "2026-01-02 12:00:00.000000")
    imported(cli, STORAGE)
    # Optuna 5 stores UTC, and stored local time before.
    assert {time.hour for time in read("theirs")[1]["started"]} == {12 if version == "5.0.0" else 3}
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("theirs_db")
def test_attributes_that_cannot_be_kept_are_left_out(cli: Cli) -> None:
    study = two_trials()
    values = {"deep": "[" * 500 + "]" * 500, "half": '"\\ud800"', "seconds": "9" * 400, "kept": '{"ü": [1]}'}
    for key, value in values.items():
        change("INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (1, ?, ?)", key, value)
    imported(cli, STORAGE)
    again = optuna.load_study(study_name="theirs/stage-01", storage=f"sqlite:///{DB}")
    assert again.trials[0].user_attrs == {"kept": {"ü": [1]}}
    assert again.trials[0].value == study.trials[0].value


def change(sql: str, *values: str) -> None:
    """Change the other database."""
    with closing(sqlite3.connect("theirs.db")) as connection, connection:
        connection.execute(sql, values)


@pytest.mark.usefixtures("theirs_db")
def test_ranges_that_changed_are_taken_together(cli: Cli) -> None:
    theirs().optimize(lambda trial: trial.suggest_float("x", 0.1 + trial.number / 5, 1.0 + trial.number), n_trials=2)
    ran = imported(cli, STORAGE, "--study-name", "theirs", "--name", "mine")
    assert read("mine")[0].space == {"x": Float(0.1, 2.0)}
    assert "2 different ranges" in ran.err


def two_trials(
    value: Callable[[optuna.Trial], Any] = lambda t: t.suggest_float("x", 0, 1), **options: Any
) -> optuna.Study:
    """A study of two trials."""
    study = theirs(**options)
    study.optimize(value, n_trials=2)
    return study


def two_studies(*others: str) -> None:
    two_trials()
    for name in ("another", *others):
        optuna.create_study(storage=STORAGE, study_name=name)


def old_schema() -> None:
    two_trials()
    change("UPDATE alembic_version SET version_num = 'v2.6.0.a'")


@pytest.mark.usefixtures("theirs_db")
@pytest.mark.parametrize(
    ("prepare", "options", "says"),
    [
        (
            lambda: two_trials(lambda t: (t.suggest_float("x", 0, 1), 0), directions=["minimize"] * 2),
            "",
            "has 2 objectives",
        ),
        (lambda: two_trials(lambda t: t.suggest_float("score", 0, 1)), "", "rename it"),
        (two_studies, "", "name one with --study-name: another, theirs"),
        (lambda: two_studies(*"012345678"), "", "--study-name: 0, 1, 2, 3, 4, 5, 6, 7, 8, another and 1 more"),
        (two_studies, "--study-name thiers", "did you mean 'theirs'"),
        (two_studies, "--study-name another", "no trial with a score"),
        (lambda: two_trials(study_name="größe ü"), "", "--name"),
        (lambda: two_trials().set_user_attr("hpsearch:ranges", {}), "", "hpsearch export theirs"),
        (old_schema, "", "optuna storage upgrade"),
        (lambda: Path("theirs.db").unlink(), "", "no database theirs.db"),
        (lambda: Path("theirs.db").write_text("no database at all, but text"), "", "is not a SQLite database"),
        (lambda: Path("theirs.db").write_bytes(b""), "", "no studies"),
        (two_trials, "--range x=0:1", "--range: not for an Optuna study"),
        (two_trials, "--name ../x", "is not a name for a search"),
    ],
)
def test_studies_that_are_refused(cli: Cli, prepare: Any, options: str, says: str) -> None:
    prepare()
    refused(cli, STORAGE, *options.split(), says=says)
