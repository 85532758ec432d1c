"""Export and import: what travels comes back, to the bit, in every form."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import past_trials
import pytest
from commands import Cli

from hpsearch.exchange.cells import escaped, unescaped
from hpsearch.exchange.columns import CURVES, TRIALS, all_columns
from hpsearch.records import CURVES as CURVES_KEY
from hpsearch.records import HITS, Report, Stage
from hpsearch.search.narrowing import narrow_stage
from hpsearch.search.range_analysis import narrowing_to_dict
from hpsearch.store import Counts, Owner, Store, open_store

FORMS = ("csv", "parquet", "json")


@contextmanager
def opened(file: str = "old.db", **options: bool) -> Iterator[Store]:
    store = open_store(file, **options)
    try:
        yield store
    finally:
        store.close()


def told(store: Store, stage: Stage) -> list[Any]:
    """All that the store says of a stage; NaN is compared by its name."""
    columns = store.columns(stage)
    of = [repr(sorted(store.attributes(stage, key), key=lambda row: row[0])) for key in (CURVES_KEY, HITS)]
    curves = store.curves(stage)
    return [replace(stage, study_id=0, imported={}), repr(columns), repr(curves.to_dict("list")), *of]


def narrowed(store: Store, stages: list[Stage], number: int) -> dict[str, Any]:
    one = narrow_stage(store, stages, number=number, top=5, expand=True, dry_run=True, branch=True)
    return narrowing_to_dict(one.narrowing)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_exported_and_imported_is_the_same_and_narrows_the_same(cli_old: Cli, form: str) -> None:
    assert cli_old("export", "--out", f"r.{form}", "--storage", "old.db").code == 0
    ran = cli_old("import", f"r.{form}", "--storage", "new.db")
    assert ran.code == 0, ran
    with opened() as old, opened("new.db") as new:
        stages, again = old.stages(), new.stages()
        assert [stage.name for stage in again] == [f"reise/stage-0{number}" for number in (1, 2, 3)]
        for before, after in zip(stages, again, strict=True):
            assert told(new, after) == told(old, before)
            if before.number < 3:
                assert narrowed(new, again, after.number) == narrowed(old, stages, before.number)
            assert after.imported["stage"] == before.name
    # And once more: what came in goes out again.
    assert cli_old("export", "--out", f"again.{form}", "--storage", "new.db").code == 0
    assert cli_old("import", f"again.{form}", "--storage", "newest.db", "--name", "other").code == 0
    with opened() as old, opened("newest.db") as new:
        first = new.stages()[0]
        assert first.search == first.study_file["name"] == "other"
        assert told(new, first)[1:] == told(old, old.stages()[0])[1:]
        assert first.imported["before"]["from"].startswith("r.")


@pytest.mark.parametrize("form", FORMS)
def test_one_stage_brings_its_ancestors_without_their_trials(cli_old: Cli, form: str) -> None:
    assert cli_old("export", "--out", f"r.{form}", "--stage", "2", "--storage", "old.db").code == 0
    assert cli_old("import", f"r.{form}", "--storage", "new.db").code == 0
    with opened() as old, opened("new.db") as new:
        stages, again = old.stages(), new.stages()
        assert new.counts(again[0]).rows == 0
        assert told(new, again[1]) == told(old, stages[1])
        assert narrowed(new, again, 2) == narrowed(old, stages, 2)


@pytest.mark.parametrize("form", FORMS)
def test_a_trial_that_was_running_waits_to_be_run_again(cli_old: Cli, form: str) -> None:
    me = Owner.current()
    with opened(write=True) as old:
        stage = old.stages()[2]
        (trial,) = old.claim(stage, until=9, most=1, owner=me).trials
        old.report(stage, [Report(0, 1, 0.5)], {0: trial.trial_id}, owner=me)
    assert cli_old("export", "--out", f"r.{form}", "--storage", "old.db").code == 0
    assert cli_old("import", f"r.{form}", "--storage", "new.db").code == 0
    with opened("new.db", write=True) as new:
        stage = new.stages()[2]
        assert new.counts(stage) == Counts(waiting=1)
        assert new.curves(stage).empty
        (again,) = new.claim(stage, until=9, most=1, owner=me).trials
        assert (again.number, again.params) == (0, trial.params)


@pytest.mark.parametrize("form", FORMS)
def test_a_real_search_goes_on_after_the_journey(searched: Cli, form: str) -> None:
    before = json.loads(searched("trials", "--format", "json").out)
    for row in before:  # who ran a trial is not for other people's eyes: it stays where it was run
        row |= {"ran_by": None, "hpsearch": None, "numpy": None, "begun": 0}
    assert searched("export", "--out", f"r.{form}").code == 0
    assert searched("import", f"r.{form}", "--storage", "new.db").code == 0
    new = ("--storage", "new.db")
    ran = searched("start", "tiny.toml", "--engine", "inline", "--trials", "9", *new)
    assert (ran.code, "1 of them now" in ran.out) == (0, True), ran
    assert json.loads(searched("trials", "--format", "json", *new).out)[:8] == before
    assert searched("start", "tiny.toml", "--engine", "inline", "--trials", "9").code == 0
    there, here = (json.loads(searched("trials", "--format", "json", *at).out)[8] for at in (new, ()))
    for row in (there, here):
        del row["started"], row["finished"], row["seconds"]
    assert there == here


def test_the_tables_are_tidy(cli_old: Cli) -> None:
    for form in FORMS:
        assert cli_old("export", "--out", f"r.{form}", "--storage", "old.db").code == 0
    plain = json.loads(Path("r.json").read_text("utf-8"))
    trials = {
        "csv": pd.read_csv("r.trials.csv"),
        "parquet": pd.read_parquet("r.trials.parquet"),
        "json": pd.DataFrame(plain["trials"]),
    }
    curves = {
        "csv": pd.read_csv("r.curves.csv"),
        "parquet": pd.read_parquet("r.curves.parquet"),
        "json": pd.DataFrame(plain["curves"]),
    }
    for form in FORMS:
        assert len(trials[form]) == 62
        assert len(trials[form].drop_duplicates(["stage", "trial"])) == 62
        assert len(curves[form]) == len(curves[form].drop_duplicates(["stage", "trial", "epoch"]))
        assert len(curves[form]) == sum(4 if n % 4 == 3 and n % 7 != 3 else 3 for n in range(30)) * 2
        for table in (trials, curves):
            assert list(table[form].columns) == list(table["csv"].columns)
        numbers = ["score", "validation_loss", "params_lr", "params_units"]
        pd.testing.assert_frame_equal(
            trials[form][numbers], trials["csv"][numbers], check_exact=True, check_dtype=False
        )


def test_the_dictionary_is_complete(cli_old: Cli) -> None:
    """Every column of every table is in the one dictionary, and every word of it stands in the header too."""
    assert cli_old("export", "--out", "r.json", "--storage", "old.db").code == 0
    plain = json.loads(Path("r.json").read_text("utf-8"))
    said = json.loads(cli_old("export", "--columns", "--format", "json").out)
    assert said == all_columns()
    for table, columns in (("trials", TRIALS), ("curves", CURVES)):
        described = [row["column"] for row in said if row["table"] == table]
        names = [
            name if name.removeprefix("params_") not in past_trials.SPACE else "params_NAME" for name in plain[table]
        ]
        assert list(dict.fromkeys(names)) == described
        assert set(plain["columns"][table]) == set(plain[table])
        for column in columns:
            assert column.meaning in plain["columns"][table][column.name]
    people = cli_old("export", "--columns").out
    assert all(column.meaning in people for column in (*TRIALS, *CURVES))


@pytest.mark.parametrize("what", ["trials", "curves"])
@pytest.mark.parametrize("form", FORMS)
def test_one_table_is_one_file_of_that_name(cli_old: Cli, form: str, what: str) -> None:
    assert cli_old("export", "--out", f"r.{form}", "--what", what, "--storage", "old.db").code == 0
    files = {path.name for path in Path().glob("r.*")}
    assert files == {f"r.{form}"} | ({"r.stages.json"} if form == "csv" else set())
    ran = cli_old("import", f"r.{form}", "--storage", "new.db")
    assert ran.code == (0 if what == "trials" else 2)
    assert (what == "trials") or "has curves only" in ran.err


def test_no_cell_is_a_formula(cli_old: Cli) -> None:
    assert cli_old("export", "--out", "r.csv", "--storage", "old.db").code == 0
    for name in ("r.trials.csv", "r.curves.csv"):
        with open(name, encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                for cell in row:
                    try:
                        float(cell)  # a number is one, with its sign
                    except ValueError:
                        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell


@pytest.mark.parametrize("text", ["", "a", "'", "''a", "=1", "+1", "-1", "@a", "\tb", "\r", "größe", "a,b\nc"])
def test_escaping_is_undone(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert escaped(text)


def test_files_that_are_there_stay_unless_forced(cli_old: Cli) -> None:
    Path("r.curves.csv").write_text("mine")
    ran = cli_old("export", "--out", "r.csv", "--storage", "old.db")
    assert (ran.code, ran.err.count("\n"), "--force" in ran.err) == (2, 1, True)
    assert {path.name for path in Path().glob("r.*")} == {"r.curves.csv"}
    assert Path("r.curves.csv").read_text() == "mine"
    assert cli_old("export", "--out", "r.csv", "--storage", "old.db", "--force").code == 0
    assert Path("r.curves.csv").read_text() != "mine"


@pytest.mark.parametrize("form", FORMS)
def test_an_export_that_breaks_off_leaves_what_was_there(
    cli_old: Cli, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli_old("export", "--out", f"r.{form}", "--storage", "old.db").code == 0
    before = {path.name: path.read_bytes() for path in Path().glob("*r.*")}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    module = {"csv": "csv_files", "parquet": "parquet_files", "json": "json_file"}[form]
    monkeypatch.setattr(
        f"hpsearch.exchange.{module}._arrow"
        if form == "parquet"
        else f"hpsearch.exchange.{module}._{'cells' if form == 'csv' else 'write_cells'}",
        full,
    )
    ran = cli_old("export", "--out", f"r.{form}", "--storage", "old.db", "--force")
    assert (ran.code, ran.err.count("\n")) == (1, 1), ran
    assert {path.name: path.read_bytes() for path in Path().glob("*r.*")} == before


def test_a_search_that_is_there_is_not_touched(cli_old: Cli) -> None:
    assert cli_old("export", "--out", "r.json", "--storage", "old.db").code == 0
    for options in ((), ("--name", "reise")):
        ran = cli_old("import", "r.json", "--storage", "old.db", *options)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert "has a search reise already" in ran.err
        assert "--name" in ran.err
    assert cli_old("import", "r.json", "--storage", "old.db", "--name", "copy").code == 0
    with opened() as store:
        assert {stage.search for stage in store.stages()} == {"reise", "copy"}


def test_without_pyarrow_there_is_one_line(cli_old: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    ran = cli_old("export", "--out", "r.parquet", "--storage", "old.db")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert 'pip install "hpsearch[data]"' in ran.err
    assert not os.path.exists("r.parquet")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("export --storage old.db", "Give --out FILE"),
        ("export --out r.xlsx --storage old.db", "no format 'xlsx'"),
        ("export --out r --storage old.db", "--format"),
        ("export --out r.txt --format csv --storage old.db", "call it r.csv"),
        ("export --out . --format csv --storage old.db", "folder"),
        ("export nope --out r.csv --storage old.db", "no search 'nope'"),
        ("export --stage 7 --out r.csv --storage old.db", "has no stage 7"),
        ("export --out gone/r.csv --storage old.db", "gone/r"),
    ],
)
def test_what_cannot_be_exported(cli_old: Cli, command: str, says: str) -> None:
    before = set(Path().iterdir())
    ran = cli_old(*command.split())
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran
    assert says in ran.err
    assert set(Path().iterdir()) == before


def test_a_file_may_be_called_as_one_likes(cli_old: Cli) -> None:
    for number, out in enumerate(("r.trials.csv", "x.curves.csv", "no-ending", "UPPER.JSON", "a b.ü.csv")):
        form = () if "." in out else ("--format", "csv")
        assert cli_old("export", "--out", out, *form, "--what", "trials", "--storage", "old.db").code == 0
        ran = cli_old("import", out if form == () else "no-ending.csv", "--storage", f"{number}.db")
        assert ran.code == 0, ran


def test_the_sidecar_stands_for_its_export(cli_old: Cli) -> None:
    assert cli_old("export", "--out", "r.csv", "--storage", "old.db").code == 0
    assert cli_old("import", "r.stages.json", "--storage", "new.db").code == 0
