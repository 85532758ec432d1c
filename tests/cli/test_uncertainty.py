"""How sure a score is, as the commands show it."""

from __future__ import annotations

import csv
import io
import json

from commands import Cli


def test_best_has_intervals_and_ties_for_people_and_for_programs(searched: Cli) -> None:
    shown = searched("best").out
    plain = json.loads(searched("best", "--format", "json").out)
    assert f"{plain['validation_accuracy']:.4g} +- {plain['standard_error']:.2f} (one standard error)" in shown
    assert f"95 % interval {plain['interval']['low']:.2f} .. {plain['interval']['high']:.2f}" in shown
    assert f"corrected for selection {plain['corrected']:.2f}" in shown
    assert plain["corrected"] <= plain["validation_accuracy"]
    assert plain["corrected_interval"]["low"] < plain["corrected"] < plain["corrected_interval"]["high"]
    assert (plain["paired"], plain["compared"], plain["interval"]["level"]) == (True, 7, 0.95)
    assert all(len(line) <= 80 for line in shown.splitlines())
    (row,) = csv.DictReader(io.StringIO(searched("best", "--format", "csv").out))
    assert float(row["corrected"]) == plain["corrected"]
    assert int(row["ties"]) == len(plain["tied"])


def test_the_top_trials_say_which_tie_with_the_best(searched: Cli) -> None:
    table = searched("trials", "--top", "4").out.splitlines()
    assert "tied" in table[1]
    assert "best" in table[2]
    rows = json.loads(searched("trials", "--top", "8", "--format", "json").out)
    tied = json.loads(searched("best", "--format", "json").out)["tied"]
    assert [row["trial"] for row in rows if row["tied"]] == [rows[0]["trial"], *tied]
    assert "tied" not in json.loads(searched("trials", "--format", "json").out)[0]


def test_status_has_an_error_beside_the_score(searched: Cli) -> None:
    (row,) = json.loads(searched("status", "--format", "json").out)
    assert f"{row['best']:.4g} +- {row['standard_error']:.2f}" in searched("status").out


def test_narrow_says_how_far_the_ends_would_move(searched: Cli) -> None:
    shown = searched("narrow", "--top", "4", "--dry-run").out
    assert "bootstrap SD over trials and examples" in shown
    moves = json.loads(searched("narrow", "--top", "4", "--dry-run", "--format", "json").out)["movement"]
    assert set(moves) == {"lr", "weight_decay"}
    assert 0 < moves["lr"]["low"] < 3
    assert moves["lr"]["images"] is True
    rows = list(csv.DictReader(io.StringIO(searched("narrow", "--top", "4", "--dry-run", "--format", "csv").out)))
    assert float(rows[0]["low moves"]) == moves["lr"]["low"]


def test_findings_say_what_was_learned_and_what_is_next(searched: Cli) -> None:
    shown = searched("findings").out
    plain = json.loads(searched("findings", "--format", "json").out)
    assert shown.splitlines()[0] == plain["stage"] == "tiny/stage-01"
    assert [line.removeprefix("- ") for line in shown.splitlines()[1:]] == plain["advice"]
    assert plain["advice"][0].startswith("tiny/stage-01 has only 8 trials")
    assert plain["advice"][-1].startswith("next: ")
    assert plain["ranges"]["lr"]["before"]["log"] is True
    assert plain["best"]["trial"] == json.loads(searched("best", "--format", "json").out)["trial"]
    assert searched("findings", "--top", "1").code == 2
