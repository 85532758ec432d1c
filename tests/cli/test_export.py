"""Exports: tidy tables in three formats; Parquet and JSON come back to the bit, or are refused in one line."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import past_trials
import pyarrow.parquet
import pytest
from commands import START, Cli

from hpsearch.exchange import exporting
from hpsearch.exchange.layout import all_columns
from hpsearch.records import CURVES, HITS, Report, Stage
from hpsearch.search.narrowing import narrow_stage
from hpsearch.serialization import to_plain
from hpsearch.space import space_to_dict
from hpsearch.store import Counts, Owner, Store, open_store

FORMS = ("csv", "parquet", "json")
LOSSLESS = ("parquet", "json")


def opened(file: str = "old.db", *, write: bool = False) -> closing[Store]:
    return closing(open_store(file, write=write))


def content(store: Store, stage: Stage) -> list[Any]:
    """Return all that the store holds of a stage; NaN is compared by its name."""
    attributes = [repr(sorted(store.attributes(stage, key), key=lambda row: row[0])) for key in (CURVES, HITS)]
    curves = store.curves(stage)
    columns = store.columns(stage)
    return [replace(stage, study_id=0, imported={}), repr(columns), repr(curves.to_dict("list")), *attributes]


def narrowed(store: Store, stages: list[Stage], number: int) -> dict[str, Any]:
    result = narrow_stage(store, stages, number=number, top=5, expand=True, dry_run=True, branch=True)
    plain: dict[str, Any] = to_plain(result.narrowing)
    return plain


@pytest.mark.parametrize("form", LOSSLESS)
def test_what_is_exported_and_imported_is_the_same_and_narrows_the_same(cli_exports: Cli, form: str) -> None:
    cli_exports.ok(f"import r.{form} --storage new.db")
    with opened() as old, opened("new.db") as new:
        stages, again = old.stages(), new.stages()
        assert [stage.name for stage in again] == [f"reise/stage-0{number}" for number in (1, 2, 3)]
        for before, after in zip(stages, again, strict=True):
            assert content(new, after) == content(old, before)
            if before.number < 3:
                assert narrowed(new, again, after.number) == narrowed(old, stages, before.number)
            assert after.imported["stage"] == before.name
    # And once more: what came in goes out again.
    cli_exports.ok(f"export --out again.{form} --storage new.db")
    cli_exports.ok(f"import again.{form} --storage newest.db --name other")
    with opened() as old, opened("newest.db") as new:
        first = new.stages()[0]
        assert first.search == first.study_file["name"] == "other"
        assert content(new, first)[1:] == content(old, old.stages()[0])[1:]
        assert first.imported["before"]["from"].startswith("r.")


@pytest.mark.parametrize("form", LOSSLESS)
def test_one_stage_brings_its_ancestors_without_their_trials(cli_old: Cli, form: str) -> None:
    cli_old.ok(f"export --out r.{form} --stage 2 --storage old.db")
    cli_old.ok(f"import r.{form} --storage new.db")
    with opened() as old, opened("new.db") as new:
        stages, again = old.stages(), new.stages()
        assert new.counts(again[0]).rows == 0
        assert content(new, again[1]) == content(old, stages[1])
        assert narrowed(new, again, 2) == narrowed(old, stages, 2)


@pytest.mark.parametrize("form", LOSSLESS)
def test_a_trial_that_was_running_waits_to_be_run_again(cli_old: Cli, form: str) -> None:
    me = Owner.current()
    with opened(write=True) as old:
        stage = old.stages()[2]
        (trial,) = old.claim(stage, until=9, most=1, owner=me).trials
        old.report(stage, [Report(0, 1, 0.5)], {0: trial.trial_id}, owner=me)
    cli_old.ok(f"export --out r.{form} --storage old.db")
    cli_old.ok(f"import r.{form} --storage new.db")
    with opened("new.db", write=True) as new:
        stage = new.stages()[2]
        assert new.counts(stage) == Counts(waiting=1)
        assert new.curves(stage).empty
        (again,) = new.claim(stage, until=9, most=1, owner=me).trials
        assert (again.number, again.params) == (0, trial.params)


def test_a_real_search_goes_on_after_the_journey(searched: Cli) -> None:
    before = searched.json("trials")
    for row in before:  # who ran a trial is not for other people's eyes: it stays where it was run
        row |= {"ran_by": None, "hpsearch": None, "numpy": None, "begun": 0}
    searched.ok("export --out r.parquet")
    following = searched.ok("import r.parquet --storage new.db").splitlines()[-1]
    assert following.startswith("next: ")
    assert following in searched.ok("checklist --storage new.db")
    ninth = []
    for storage in ("new.db", "studies/hpsearch.db"):
        assert "1 of them now" in searched.ok(f"{START} --trials 9 --storage {storage}")
        rows = searched.json(f"trials --storage {storage}")
        assert storage != "new.db" or rows[:8] == before
        ninth.append({name: cell for name, cell in rows[8].items() if name not in ("started", "finished", "seconds")})
    assert ninth[0] == ninth[1]


def tables(name: str) -> dict[str, pd.DataFrame]:
    """Return a table of the export ``r`` in each format."""
    return {
        "csv": pd.read_csv(f"r.{name}.csv"),
        "parquet": pd.read_parquet(f"r.{name}.parquet"),
        "json": pd.DataFrame(json.loads(Path("r.json").read_text("utf-8"))[name]),
    }


def test_the_tables_are_tidy_and_the_same_in_every_format(cli_exports: Cli) -> None:
    points = sum(4 if n % 4 == 3 and n % 7 != 3 else 3 for n in range(30)) * 2
    numbers = ["score", "validation_loss", "params_lr", "params_units"]
    for name, keys, rows in (("trials", ["stage", "trial"], 62), ("curves", ["stage", "trial", "epoch"], points)):
        first = tables(name)["csv"]
        for table in tables(name).values():
            assert len(table) == len(table.drop_duplicates(keys)) == rows
            assert list(table.columns) == list(first.columns)
            if name == "trials":
                pd.testing.assert_frame_equal(table[numbers], first[numbers], check_exact=True, check_dtype=False)


def test_the_dictionary_is_complete(cli_exports: Cli) -> None:
    """Every column of every table is in the one dictionary, and the header has it too."""
    plain = json.loads(Path("r.json").read_text("utf-8"))
    listed = cli_exports.json("export --columns")
    assert listed == all_columns()
    for table in ("trials", "curves"):
        names = ["params_NAME" if name.removeprefix("params_") in past_trials.SPACE else name for name in plain[table]]
        assert list(dict.fromkeys(names)) == [row["column"] for row in listed if row["table"] == table]
        assert plain["columns"][table].keys() == plain[table].keys()


@pytest.mark.parametrize("what", ["trials", "curves"])
@pytest.mark.parametrize("form", FORMS)
def test_one_table_is_one_file_of_that_name(cli_old: Cli, form: str, what: str) -> None:
    cli_old.ok(f"export --out r.{form} --what {what} --stage 1 --storage old.db")
    assert {path.name for path in Path().glob("r.*")} == {f"r.{form}"}
    ran = cli_old(f"import r.{form} --storage new.db")
    assert (ran.code, "has curves only" in ran.err) == ((0, False) if what == "trials" else (2, True))


def test_no_cell_is_a_formula(cli_exports: Cli) -> None:
    for name in ("r.trials.csv", "r.curves.csv"):
        with open(name, encoding="utf-8", newline="") as file:
            for cell in (cell for row in csv.reader(file) for cell in row):
                try:
                    float(cell)  # a number is one, with its sign
                except ValueError:
                    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell
    # An import knows the texts again, as those of any table.
    cli_exports.ok("import o.trials.csv --metric score --storage new.db")
    with opened() as old, opened("new.db") as new:
        before, after = (space_to_dict(store.stages()[0].space)["=aktivierung"] for store in (old, new))
        assert sorted(after["choices"]) == sorted(before["choices"])


@pytest.mark.parametrize("form", FORMS)
def test_an_export_replaces_what_was_there_as_a_whole_or_not_at_all(
    cli_exports: Cli, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in Path().glob("*r.*")}
    write = getattr(exporting, f"_write_{form}")

    def full(path: Path, *content: Any) -> None:
        write(path, *content)
        raise OSError(28, "No space left on device")

    command = f"export --out r.{form} --stage 2 --storage old.db --force"
    with monkeypatch.context() as patch:
        patch.setattr(exporting, f"_write_{form}", full)
        cli_exports.refused(command, code=1)
    assert {path.name: path.read_bytes() for path in Path().glob("*r.*")} == before
    cli_exports.ok(command)
    assert {path.name: path.read_bytes() for path in Path().glob("*r.*")} != before


def test_times_in_another_zone_become_utc(cli_exports: Cli) -> None:
    file = Path("r.json")
    file.write_text(file.read_text("utf-8").replace('678901Z"', '678901+09:00"'), "utf-8")
    cli_exports.ok("import r.json --storage new.db")
    with opened("new.db") as store:
        assert store.columns(store.stages()[0])["started"][0] == datetime(2026, 1, 1, 18, 4, 5, 678901)


def test_a_search_that_is_there_is_not_touched(cli_exports: Cli) -> None:
    for options in ("", "--name reise"):
        said = cli_exports.refused(f"import r.json --storage old.db {options}", says="has a search reise already")
        assert "--name" in said
    cli_exports.ok("import r.json --storage old.db --name copy")
    with opened() as store:
        assert {stage.search for stage in store.stages()} == {"reise", "copy"}


@pytest.mark.parametrize("out", ["r.trials.parquet", "x.curves.json", "UPPER.JSON", "a b.ü.parquet", "no-ending"])
def test_a_file_may_have_any_name(cli_old: Cli, out: str) -> None:
    form = () if "." in out else ("--format", "json")
    assert cli_old("export", "--out", out, *form, "--what", "trials", "--storage", "old.db").code == 0
    assert cli_old("import", "no-ending.json" if form else out, "--storage", "new.db").code == 0


def refused(cli: Cli, file: str, says: str = "") -> None:
    """Run an import that is refused, and writes nothing."""
    cli.refused(f"import {file} --storage new.db", says=says)
    assert not os.path.exists("new.db")


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        (None, '{"hpsearch_export": 1', "no JSON, or is cut off"),
        (None, "[]", "no export of hpsearch"),
        (None, "[" * 100_000, "no JSON"),
        (None, '{"a": 1}', "no export of hpsearch"),
        ('"hpsearch_export": 1', '"hpsearch_export": 2', "another version wrote it"),
        ('"search": "reise"', '"search": "../reise"', "is not a name for a search"),
        ('"low": 1e-06', '"low": 5', "is not below"),
        ('"direction": "maximize"', '"direction": "up"', "stages.0.direction"),
        ('"series": ["train_loss"', '"series": ["epoch"', "unknown curves"),
        ('"trials": 31', '"trials": 30', "missing or there twice"),
        ('"COMPLETE", "COMPLETE"', '"COMPLETE"', "differ in length"),
        ('"COMPLETE", "COMPLETE"', '"COMPLETE", "WON"', "'WON'"),
        ('"COMPLETE", "COMPLETE"', '"COMPLETE", 7', "holds 7"),
        ('"FAIL"', '"COMPLETE"', "has no score"),
        ('"trial": [0, 1', '"trial": [0, 0', "missing or there twice"),
        ('"trial": [0, 1', '"trial": [0, null', "missing or there twice"),
        ('"params_lr": [', '"params_lr": [[], ', "params_lr holds []"),
        ('"params_lr": [0.23489165104201373', '"params_lr": ["NaN"', "lr has the value nan"),
        ('"params_flag": [true', '"params_flag": ["no"', "flag has the value 'no'"),
        ('"params_lr": [', '"params_rl": [', "no whole column 'params_lr'"),
        ('"epoch": [1, 2', '"epoch": [1, 1', "an epoch twice"),
        ('"epoch": [1, 2', '"epoch": [1, 1.5', "holds 1.5"),
        ('"epoch": [1, 2', '"epoch": [1, 99999999999', "no whole number"),
        ('"epoch": [1, 2', f'"epoch": [1, {"9" * 30}', "holds 99999"),
        ('"trial": [0, 0, 0', '"trial": [0, 0, 77', "a trial that is not there"),
        ("reise/stage-02", "reise/stage-09", "does not describe"),
        ('"study_file": {', '"study_file": {"training": "x", ', "a section of the study file is a text"),
        ('"rule": {', f'"rule": {{"deep": {"[" * 50 + "]" * 50}, ', "nested too deeply"),
        ('"rule": {', '"rule": {"half": "\\ud800", ', "no Unicode"),
        ("2026-01-02", "2026-99-02", "holds '2026-99-02"),
    ],
)
def test_a_damaged_export_is_one_line_and_nothing_written(
    cli_exports: Cli, was: str | None, becomes: str, says: str
) -> None:
    file = Path("r.json")
    text = file.read_text("utf-8")
    assert was is None or was in text
    file.write_text(becomes if was is None else text.replace(was, becomes, 1), "utf-8")
    refused(cli_exports, "r.json", says)


@pytest.mark.parametrize("name", ["r.trials.parquet", "r.curves.parquet"])
def test_a_damaged_parquet_file_is_one_line_and_nothing_written(cli_exports: Cli, name: str) -> None:
    whole = Path(name).read_bytes()
    for damaged in (whole[:-100], whole[:50] + b"\xff" + whole[51:], b""):
        Path(name).write_bytes(damaged)
        refused(cli_exports, "r.parquet")


def test_curves_of_other_columns_or_of_another_export_are_refused(cli_exports: Cli) -> None:
    table = pyarrow.parquet.read_table("r.curves.parquet")
    for changed in (table.drop_columns("epoch"), table.set_column(2, "epoch", pyarrow.array(["a"] * len(table)))):
        pyarrow.parquet.write_table(changed, "r.curves.parquet")
        refused(cli_exports, "r.parquet", "r.curves.parquet is damaged")
    os.replace("o.curves.parquet", "r.curves.parquet")
    refused(cli_exports, "r.parquet", "of another export")


def changed(plain: dict[str, Any], what: str) -> None:
    """Change one number of a trial of ours."""
    trials, curves = plain["trials"], plain["curves"]
    row = trials["state"].index("COMPLETE")
    match what:
        case "score":
            trials["score"][row] = 0.99
        case "curve":
            curves["score"][curves["epoch"].index(2)] = 0.99
            curves["score"][curves["epoch"].index(3)] = 0.99
        case "score and curve":
            for epoch in range(3):
                curves["score"][3 * row + epoch] = trials["score"][row] = 0.99
        case "parameter":
            trials["params_lr"][row] *= 1.5
        case "parameters":
            for name in ("params_lr", "params_weight_decay"):
                trials[name][row] *= 1.5
        case "curves":
            del plain["curves"]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("score", "tiny/stage-01: trial 0: the score is not that of its curve"),
        ("curve", "tiny/stage-01: trial 0: the score is not that of its curve"),
        ("score and curve", "tiny/stage-01: trial 0: the score is not that of its hits"),
        ("parameter", "tiny/stage-01: trial 0: parameters that the seed and the trial's number do not give"),
        ("parameters", "tiny/stage-01: trial 0: parameters that the seed and the trial's number do not give"),
        ("curves", None),
        ("nothing", None),
    ],
)
def test_results_of_an_export_fit_together(searched: Cli, what: str, says: str | None) -> None:
    searched.ok("export --out t.json")
    plain = json.loads(Path("t.json").read_text("utf-8"))
    changed(plain, what)
    Path("t.json").write_text(json.dumps(plain), "utf-8")
    if says is not None:
        before = sorted(Path().iterdir())
        searched.refused("import t.json --storage new.db", says=says)
        assert sorted(Path().iterdir()) == before  # no database, and nothing beside it
        return
    searched.ok("import t.json --storage new.db")
    assert "sound" in searched.ok("db check --storage new.db")
    # What happens to an imported trial later is found, too.
    with sqlite3.connect("new.db") as connection:
        connection.execute("UPDATE trial_values SET value = 0.99 WHERE trial_id = 1")
    assert searched("db check --storage new.db").code == 1
    # Also after another export and import.
    searched.ok("export --out u.json --storage new.db")
    searched.refused("import u.json --storage newer.db", says="the score is not that of its")


def test_trials_of_somebody_else_s_are_not_held_against_the_seed(searched: Cli) -> None:
    study = optuna.load_study(study_name="tiny/stage-01", storage="sqlite:///studies/hpsearch.db")
    first = study.trials[0]
    study.add_trial(optuna.create_trial(value=0.99, params=first.params, distributions=first.distributions))
    searched.ok("export --out t.json")
    assert json.loads(Path("t.json").read_text("utf-8"))["stages"][0]["others"] == [8]
    searched.ok("import t.json --storage new.db")
    assert "sound" in searched.ok("db check --storage new.db")
