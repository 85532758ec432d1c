"""`hpsearch status`, `trials`, `best` and `checklist`: the same for people and for programs."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from commands import START, TINY, Cli, Made

from hpsearch import __version__
from hpsearch.api import Trials
from hpsearch.cli.options import Format
from hpsearch.cli.show import wants_curves, with_curves
from hpsearch.records import Completed
from hpsearch.reports.tables import BLOCKS, DIGITS, run_by_line
from hpsearch.store import Owner, open_store

_VERSIONS = {"hpsearch": __version__, "numpy": version("numpy")}
SPACE = """\
optimizer = { choices = ["sgd", "momentum"] }
momentum = { low = 0.5, high = 0.9 }
batch_norm = { choices = [true, false] }
"""


@pytest.fixture
def mixed(made: Made) -> Cli:
    """The command line in a folder where a stage of twelve trials has run, some of them with momentum."""
    study = TINY.replace("weight_decay = { low = 1e-8, high = 1e-4, log = true }\n", SPACE)
    return made(f"{START} --trials 12", study=study)


def test_formats_agree(searched: Cli) -> None:
    as_json, as_csv = searched.json("trials --curves"), searched.csv("trials --curves")
    assert [float(row["lr"]) for row in as_csv] == pytest.approx([row["lr"] for row in as_json], rel=1e-12)
    assert [list(map(float, row["curve"].split())) for row in as_csv] == [row["curve"] for row in as_json]
    table = searched.ok("trials").splitlines()
    assert len(table) == 2 + len(as_json)
    assert all(line == line.rstrip() for line in table)
    assert "curve" not in table[0] + table[1]
    assert not {"curve", "tied"} & searched.json("trials")[0].keys()


def test_curves_are_blocks_in_the_order_of_the_scores(searched: Cli) -> None:
    _, heading, *lines = searched.ok("trials --curves --top 8").splitlines()
    rows = searched.json("trials --top 8 --curves")
    assert all(row["curve"][-1] == row["validation_accuracy"] for row in rows)
    values = [value for row in rows for value in row["curve"]]
    assert heading.endswith(f"curve {min(values):.3g} to {max(values):.3g}")
    plotted = [line.split()[-1] for line in lines]
    assert {len(cell) for cell in plotted} == {3}
    last = [BLOCKS.index(cell[-1]) for cell in plotted]
    assert last == sorted(last, reverse=True)


def test_curves_are_digits_where_the_output_has_no_blocks(searched: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    assert searched("trials --curves").code == 0
    stream.seek(0)
    _, heading, *lines = stream.read().splitlines()
    assert "curve 0 = 0." in heading
    assert all(set(line.split()[-1]) <= set(DIGITS) for line in lines)


@pytest.mark.parametrize(
    ("asked", "output", "trials", "looks", "read"),
    [
        (None, "table", 500, True, True),
        (None, "table", 501, True, False),
        (None, "table", 5, False, False),
        (None, "json", 5, True, False),
        (True, "json", 100_000, False, True),
        (False, "table", 5, True, False),
    ],
)
def test_when_curves_are_read(
    monkeypatch: pytest.MonkeyPatch, asked: bool | None, output: Format, trials: int, looks: bool, read: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: looks, raising=False)
    assert wants_curves(asked, output, trials) is read


def test_where_there_is_no_room_there_is_no_column(monkeypatch: pytest.MonkeyPatch) -> None:
    stage: Any = type("Stage", (), {"study_file": {"training": {"epochs": 3}}})
    trials = Trials(stage, {}, None, {1: (0.1, 0.5, 0.9)}, {})
    table: dict[str, list[Any]] = {"trial": [1], **{f"parameter {n}": [0.123456] for n in range(8)}}
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for width, requested, more in (("95", None, 0), ("95", True, 1), ("110", None, 1)):
        monkeypatch.setenv("COLUMNS", width)
        assert len(with_curves(trials, table, requested=requested)) == len(table) + more


def test_best_has_intervals_and_ties_for_people_and_for_programs(searched: Cli) -> None:
    shown, plain = searched.ok("best"), searched.json("best")
    assert f"{plain['validation_accuracy']:.4g} +- {plain['standard_error']:.2f} (one standard error)" in shown
    assert f"95 % interval {plain['interval']['low']:.2f} .. {plain['interval']['high']:.2f}" in shown
    assert f"corrected for selection {plain['corrected']:.2f}" in shown
    assert plain["corrected"] <= plain["validation_accuracy"]
    assert plain["corrected_interval"]["low"] < plain["corrected"] < plain["corrected_interval"]["high"]
    assert (plain["paired"], plain["compared"], plain["interval"]["level"]) == (True, 7, 0.95)
    assert all(len(line) <= 80 for line in shown.splitlines())
    (row,) = searched.csv("best")
    assert (float(row["corrected"]), int(row["ties"])) == (plain["corrected"], len(plain["tied"]))
    table = searched.ok("trials --top 4").splitlines()
    assert ("tied" in table[1], "best" in table[2]) == (True, True)
    rows = searched.json("trials --top 8")
    assert [row["trial"] for row in rows if row["tied"]] == [rows[0]["trial"], *plain["tied"]]


def test_recommend_shows_values_and_what_training_them_again_gives(searched: Cli) -> None:
    few = searched.json("recommend")
    assert (few["by"], few["trial"]) == ("best", searched.json("best")["trial"])
    searched.ok("start tiny --trials 24 --engine inline")
    shown, plain = searched.ok("recommend").splitlines(), searched.json("recommend --stage 1")
    assert plain["by"] == "trials"
    assert plain["interval"]["low"] < plain["expected"] < plain["interval"]["high"]
    assert shown[0].startswith(f"tiny/stage-01 trial {plain['trial']} is recommended: ")
    assert any(line.startswith("  lr = ") for line in shown)
    assert f"validation accuracy {plain['expected']:.3f} on new examples (95 % interval" in " ".join(shown)
    assert "hpsearch confirm" in shown[-1]
    assert [sentence in shown for sentence in plain["sentences"]] == [True] * len(plain["sentences"])
    (row,) = searched.csv("recommend")
    assert (int(row["trial"]), float(row["param:lr"])) == (plain["trial"], plain["params"]["lr"])


def test_the_checklist_says_what_was_learned_and_what_is_next(searched: Cli) -> None:
    shown, plain = searched.ok("checklist").splitlines(), searched.json("checklist")
    assert shown[0] == plain["stage"] == "tiny/stage-01"
    lines = [line.strip() for line in shown[1:] if line]
    expected = []
    for asked in plain["questions"]:
        mark = {"ok": "x", "act": "!", "unknown": "?"}[asked["verdict"]]
        expected += [f"[{mark}] {asked['question']}", *(f"- {answer}" for answer in asked["answers"])]
        expected += [f"{word}: {asked[key]}" for word, key in (("see", "figure"), ("do", "action")) if asked[key]]
    assert lines == [*expected, plain["next"]["sentence"]]
    assert "- tiny/stage-01 has only 8 trials with a score: most of what follows may be chance" in lines
    assert plain["next"]["sentence"].startswith("next: ")
    rows = searched.csv("checklist")
    assert [row["question"] for row in rows] == [*(asked["question"] for asked in plain["questions"]), "What next?"]
    assert rows[-1]["answer"] == plain["next"]["sentence"]
    for asked in plain["questions"]:
        if asked["figure"]:
            searched.ok(asked["figure"].removeprefix("hpsearch "))
    assert plain["ranges"]["lr"]["before"]["log"] is True
    assert plain["best"]["trial"] == searched.json("best")["trial"]


def test_a_value_without_effect_is_for_programs_alone(mixed: Cli) -> None:
    rows, (_, heading, *lines) = mixed.json("trials"), mixed.ok("trials").splitlines()
    names = heading.replace("val. ", "").split()
    assert {row["optimizer"] for row in rows} == {"sgd", "momentum"}
    for row, line in zip(rows, lines, strict=True):
        shown = dict(zip(names, line.split(), strict=True))
        assert shown["momentum"] == (f"{row['momentum']:.4g}" if row["optimizer"] == "momentum" else "-")
        assert shown["batch_norm"] == str(row["batch_norm"]).lower()
    best, said = mixed.json("best")["params"], mixed.ok("best")
    used = best["optimizer"] == "momentum"
    assert f"  batch_norm = {str(best['batch_norm']).lower()}\n" in said
    assert (f"  momentum = {best['momentum']:.6g}\n" in said) is used
    assert ("\nsampled, but without effect in this trial: momentum\n" in said) is not used


def test_trials_and_status_say_where_each_ran_and_with_what(searched: Cli) -> None:
    rows = searched.json("trials")
    me = Owner.current()
    of_each = [{name: row[name] for name in ("ran_by", "hpsearch", "numpy", "begun")} for row in rows]
    assert of_each == [{"ran_by": me.host, **_VERSIONS, "begun": 1}] * 8
    (plain,) = searched.json("status")
    assert plain["run_by"] == [{"host": me.host, **_VERSIONS, "trials": 8}]
    shown = searched.ok("status")
    assert "run by" not in shown  # one machine, one version: not worth a line
    assert f"{plain['best']:.4g} +- {plain['standard_error']:.2f}" in shown
    # Another machine, and a run that has died.
    store = open_store("studies/hpsearch.db", write=True)
    (stage,) = store.stages()
    there = replace(me, run="theirs", host="hostB")
    ids = {trial.number: trial.trial_id for trial in store.claim(stage, until=10, most=2, owner=there).trials}
    store.record(stage, [Completed(number, 0.5) for number in ids], ids, owner=there)
    dead = replace(me, run="dead", pid=2**22 + 1)  # above the kernel's highest
    store.claim(stage, until=13, most=3, owner=dead)
    store.claim(stage, until=14, most=1, owner=me)
    store.close()
    shown = searched.ok("status")
    assert f"run by: {me.host} 8, hostB 2\n" in shown
    assert "3 running trials of a dead process: the next start runs them again" in shown
    (plain,) = searched.json("status")
    assert (plain["running"], plain["abandoned"]) == (4, 3)


def test_versions_are_named_where_they_differ() -> None:
    new = Owner("a", "one", "", 1, "", "0.3.0", "2.3.1")
    old = replace(new, run="b", host="two", hpsearch="", numpy="")
    assert run_by_line([{new: 60}, {new: 3, old: 37}]) == (
        "run by: one 63 (hpsearch 0.3.0, NumPy 2.3.1), two 37 (version not stored)"
    )
    many = [replace(new, run=str(n), host=f"host{n}") for n in range(7)]
    assert run_by_line([dict.fromkeys(many, 1)]) == "run by: host0 1, host1 1, host2 1, host3 1, host4 1 and 2 more"
    recent = run_by_line([{new: 60}, {replace(new, host="b"): 1}], recent=True)
    assert recent == f"run by (the last 10,000 of a stage): {new.host} 60, b 1"
    assert run_by_line([{new: 60}, {replace(new, run="c"): 1}]) is None


@pytest.mark.parametrize(
    ("returns", "score", "said"),
    [
        ('{"score": x, "std_error": 0.1}', "+- 0.10 (one standard error)", "statistically tied"),
        (
            "x",
            "",
            "noise unknown: the best trials report neither folds nor a standard error; "
            "`hpsearch confirm mine` measures it",
        ),
    ],
)
def test_best_says_the_noise_that_trials_report_or_that_it_is_not_known(
    cli: Cli, tmp_path: Path, returns: str, score: str, said: str
) -> None:
    (tmp_path / "train.py").write_text(f'def of(trial):\n    x = trial.suggest_float("x", 0, 1)\n    return {returns}')
    objective = '[objective]\nfunction = "train.py:of"\ndirection = "maximize"\n'
    (tmp_path / "mine.toml").write_text(f'name = "mine"\n{objective}[trials]\ncount = 5\n')
    cli.ok("start mine.toml --engine inline")
    first, *rest = cli.ok("best").splitlines()
    assert first.endswith(score)
    assert ("+-" in first) is bool(score)
    assert said in rest[-1]
    assert (cli.json("best")["standard_error"] is None) is (not score)


def test_confirm_says_why_repeats_failed(cli: Cli, tmp_path: Path) -> None:
    again = 'if os.path.exists("again"):\n        raise ValueError("bad luck")\n    '
    text = f'import os\n\ndef of(trial):\n    {again}return trial.suggest_float("x", 0, 1)\n'
    (tmp_path / "train.py").write_text(text)
    cli.ok("init mine --function train.py:of --direction maximize")
    cli.ok("start mine --trials 2 --engine inline")
    (tmp_path / "again").touch()
    assert "failed: ValueError: bad luck" in cli("confirm --top 1 --repeats 2 --engine inline").out
