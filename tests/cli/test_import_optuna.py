"""Optuna studies of others, imported."""

from __future__ import annotations

import math
import os
import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest
from commands import Cli

from hpsearch.records import Stage
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


STORAGE = "sqlite:///theirs.db"


@pytest.fixture(autouse=True)
def database(cli: Cli, empty_database: bytes) -> None:
    """Puts an empty database of Optuna's into the folder, for Optuna takes long to make one."""
    Path("theirs.db").write_bytes(empty_database)


def theirs(**options: Any) -> optuna.Study:
    """A study in another database."""
    return optuna.create_study(
        storage=STORAGE, study_name="theirs", sampler=optuna.samplers.RandomSampler(0), **options
    )


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
    for step in range(3):
        trial.report(step / (trial.number + 1), step)
    trial.set_user_attr("note", {"ü": [1]})
    trial.set_user_attr("seconds", "many")
    if trial.number % 5 == 3:
        raise optuna.TrialPruned
    if trial.number % 5 == 4:
        raise ValueError("broken")
    return -abs(math.log10(lr) + 3)


def test_an_optuna_study(cli: Cli) -> None:
    study = theirs(direction="maximize")
    study.optimize(objective, n_trials=8, catch=(ValueError,))
    study.ask()
    before = Path("theirs.db").read_bytes()
    ran = cli("import", STORAGE)
    assert ran.code == 0, ran
    assert Path("theirs.db").read_bytes() == before
    stage, columns = read("theirs")
    assert stage.space == {
        "lr": Float(1e-5, 1e-1, log=True),
        "kind": Categorical(("a", True, 3, 0.5)),
        "n": Int(2, 20, step=3),
        "units": Int(1, 100, log=True),
        "drop": Float(0.0, 1.0),
        "fixed": Categorical((2.0,)),
    }
    assert "only_a is left out" in ran.err
    assert "drop was sampled in steps of 0.25" in ran.err
    again = optuna.load_study(study_name="theirs/stage-01", storage=f"sqlite:///{DB}")
    for old, new in zip(study.trials[:-1], again.trials[:-1], strict=True):
        assert (old.state, old.value, old.intermediate_values) == (new.state, new.value, new.intermediate_values)
        assert {name: value for name, value in old.params.items() if name != "only_a"} == new.params
        assert (old.datetime_start, old.datetime_complete) == (new.datetime_start, new.datetime_complete)
        assert new.user_attrs["note"] == {"ü": [1]}
        assert "seconds" not in new.user_attrs
    assert columns["state"][-1] == "WAITING"
    assert stage.imported["from"] == "theirs in theirs.db"
    assert cli("narrow", "theirs", "--top", "5", "--dry-run").code == 0
    assert cli("trials", "theirs", "--top", "3").code == 0


def test_ranges_that_changed_are_taken_together(cli: Cli) -> None:
    study = theirs()
    for low, high in ((0.1, 1.0), (0.5, 2.0)):
        study.optimize(lambda trial, low=low, high=high: trial.suggest_float("x", low, high), n_trials=3)  # type: ignore[misc]
    ran = cli("import", STORAGE, "--study-name", "theirs", "--name", "mine")
    assert ran.code == 0, ran
    assert read("mine")[0].space == {"x": Float(0.1, 2.0)}
    assert "2 different ranges" in ran.err


def empty(direction: str = "minimize") -> None:
    theirs(direction=direction).optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)


def two_objectives() -> None:
    theirs(directions=["minimize", "maximize"]).optimize(lambda t: (t.suggest_float("x", 0, 1), 0), n_trials=2)


def choice_of_nothing() -> None:
    theirs().optimize(lambda t: float(t.suggest_categorical("x", [None, "a"]) is None), n_trials=2)


def our_own_name() -> None:
    theirs().optimize(lambda t: t.suggest_float("score", 0, 1), n_trials=2)


def two_studies() -> None:
    empty()
    optuna.create_study(storage=STORAGE, study_name="another")


def odd_name() -> None:
    optuna.create_study(storage=STORAGE, study_name="größe ü").optimize(
        lambda t: t.suggest_float("x", 0, 1), n_trials=1
    )


def ours() -> None:
    empty()
    optuna.load_study(storage=STORAGE, study_name="theirs").set_user_attr("hpsearch:ranges", {})


def old_schema() -> None:
    empty()
    connection = sqlite3.connect("theirs.db")
    connection.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("prepare", "options", "says"),
    [
        (two_objectives, "", "has 2 objectives"),
        (choice_of_nothing, "", "the choice None"),
        (our_own_name, "", "rename it"),
        (two_studies, "", "name one with --study-name: another, theirs"),
        (two_studies, "--study-name thiers", "did you mean 'theirs'"),
        (two_studies, "--study-name another", "no trial with a score"),
        (odd_name, "", "--name"),
        (ours, "", "hpsearch export theirs"),
        (old_schema, "", "optuna storage upgrade"),
        (lambda: Path("theirs.db").unlink(), "", "no database theirs.db"),
        (lambda: Path("theirs.db").write_text("no database at all, but text"), "", "is not a SQLite database"),
        (lambda: Path("theirs.db").write_bytes(b""), "", "no studies"),
        (empty, "--range x=0:1", "--range: not for an Optuna study"),
        (empty, "--name ../x", "is not a name for a search"),
    ],
)
def test_studies_that_are_refused(cli: Cli, prepare: Any, options: str, says: str) -> None:
    prepare()
    refused(cli, f"{STORAGE} {options}", says)


def refused(cli: Cli, arguments: str, says: str) -> None:
    ran = cli("import", *arguments.split())
    assert (ran.code, ran.err.count("\n"), ran.out) == (2, 1, ""), ran
    assert says in ran.err, ran.err
    assert not os.path.exists(DB)
