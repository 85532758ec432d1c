"""`hpsearch confirm`, and what other commands make of a confirmation."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from commands import START, Cli, Made

CONFIRM = ("confirm", "--engine", "inline", "--top", "3", "--repeats", "4")


def plain(cli: Cli, *arguments: str) -> Any:
    ran = cli(*arguments, "--format", "json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


@pytest.fixture
def confirmed(made: Made) -> Cli:
    """The command line in a folder where a stage of eight trials has been confirmed."""
    return made(START, " ".join(CONFIRM))


def test_confirm_ranks_by_means_and_says_how_to_read_it(searched: Cli) -> None:
    best = [row["trial"] for row in plain(searched, "trials", "--top", "3")]
    ran = searched(*CONFIRM)
    assert ran.code == 0
    assert "tiny/confirm-01 has 12 finished trials; 12 of them now" in ran.out
    assert "score before" in ran.out
    assert "over 4 repeats on the same 40 validation examples" in ran.out
    assert "covers other seeds and other validation examples" in ran.out
    assert "next: hpsearch narrow --from confirm --top 2    hpsearch evaluate" in ran.out
    table = [line.split() for line in ran.out.splitlines() if line.strip()[:1].isdigit()]
    assert {int(row[0]) for row in table} == set(best)
    means = [float(row[1]) for row in table]
    assert means == sorted(means, reverse=True)
    assert all(len(line) <= 80 for line in ran.out.splitlines() if line[:1] == " ")


def test_again_nothing_is_left_and_more_is_added(confirmed: Cli) -> None:
    before = plain(confirmed, *CONFIRM)
    assert before["run_now"] == 0
    more = plain(confirmed, "confirm", "--engine", "inline", "--top", "4", "--repeats", "5")
    assert more["run_now"] == 4 * 5 - 3 * 4
    assert {one["repeats"] for one in more["settings"]} == {5}


def test_for_programs(confirmed: Cli) -> None:
    found = plain(confirmed, *CONFIRM)
    assert (found["confirmation"], found["stage"], found["metric"], found["level"]) == (
        "tiny/confirm-01",
        "tiny/stage-01",
        "validation_accuracy",
        0.95,
    )
    first, *others = found["settings"]
    assert first["p"] is None
    assert all(one["p"] is not None for one in others)
    rows = list(csv.DictReader(io.StringIO(confirmed(*CONFIRM, "--format", "csv").out)))
    assert [int(row["trial"]) for row in rows] == [one["trial"] for one in found["settings"]]
    assert [float(row["lr"]) for row in rows] == [one["params"]["lr"] for one in found["settings"]]
    assert [float(row["low"]) for row in rows] == [one["low"] for one in found["settings"]]


def test_optuna_sees_an_ordinary_study(confirmed: Cli) -> None:
    study = optuna.load_study(study_name="tiny/confirm-01", storage="sqlite:///studies/hpsearch.db")
    assert len(study.trials) == 12
    assert [trial.number for trial in study.trials] == list(range(12))
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 3
    assert study.user_attrs["hpsearch:kind"] == "confirm"
    assert study.user_attrs["hpsearch:parent"] == 1


def test_the_search_goes_on_as_if_it_were_not_there(confirmed: Cli) -> None:
    assert [row["stage"] for row in plain(confirmed, "status")] == ["tiny/stage-01"]
    assert confirmed("start", "tiny.toml", "--engine", "inline", "--trials", "9").code == 0
    assert len(plain(confirmed, "trials")) == 9
    assert "made tiny/stage-02" in confirmed("narrow", "--top", "3").out


def test_status_shows_it_below_the_stages(searched: Cli) -> None:
    assert plain(searched, "status")[0]["confirmation"] is None
    assert "confirm" not in searched("status").out
    found = plain(searched, *CONFIRM)
    (row,) = plain(searched, "status")
    assert row["confirmation"]["first"] == found["settings"][0]["trial"]
    assert row["confirmation"]["mean"] == found["settings"][0]["mean"]
    out = searched("status").out
    (line,) = [line for line in out.splitlines() if line.startswith("tiny/confirm-01")]
    assert line.split()[1:6] == ["stage-01", "3", "12", "of", "12"]


def test_best_says_whether_the_confirmation_agrees(confirmed: Cli) -> None:
    best = plain(confirmed, "best")
    first = best["confirmation"]["first"]
    line = confirmed("best").out.splitlines()[-1]
    agrees = "" if first == best["trial"] else ", not this one"
    assert line.startswith(f"tiny/confirm-01 puts trial {first} first{agrees}: mean ")


def test_narrow_from_the_confirmation_takes_its_order(confirmed: Cli) -> None:
    order = [one["trial"] for one in plain(confirmed, *CONFIRM)["settings"]]
    ran = confirmed("narrow", "--from", "confirm", "--top", "2", "--dry-run")
    assert f"ranges of the best 2 of 3 confirmed trials ({order[0]}, {order[1]})" in ran.out
    found = plain(confirmed, "narrow", "--from", "confirm", "--top", "2")
    assert found["used"] == order[:2]
    assert found["rule"]["from"] == "tiny/confirm-01"
    assert [one["trial"] for one in found["rule"]["confirmed"]] == order
    assert plain(confirmed, "status")[1]["trials_used"] == order[:2]
    study = optuna.load_study(study_name="tiny/stage-02", storage="sqlite:///studies/hpsearch.db")
    assert study.user_attrs["hpsearch:rule"]["rule"]["from"] == "tiny/confirm-01"
    # All confirmed ones, unless told otherwise.
    assert len(plain(confirmed, "narrow", "--from", "confirm", "--dry-run")["used"]) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("confirm", "--top", "0"), "--top 0: give a number from 1 to 200"),
        (("confirm", "--repeats", "1"), "--repeats 1: give a number from 2 to 1000; one repeat has no spread"),
        (("confirm", "--top", "9"), "--top 9: tiny/stage-01 has 8 trials with a score"),
        (("confirm", "--jobs", "0"), "--jobs 0"),
        (("confirm", "--engine", "polo"), "did you mean 'pool'"),
        (("confirm", "other"), "no search 'other'"),
        (("narrow", "--from", "confirm"), "tiny/stage-01 has not been confirmed; `hpsearch confirm --stage 1`"),
        (("narrow", "--from", "confirm", "--quantile", "0.5"), "--quantile 0.5: only few trials are confirmed"),
        (("narrow", "--from", "confrim"), "confrim"),
    ],
)
def test_bad_input_is_answered_in_one_line(searched: Cli, arguments: tuple[str, ...], words: str) -> None:
    ran = searched(*arguments)
    assert ran.code == 2
    assert ran.err.startswith("hpsearch: ")
    assert len(ran.err.splitlines()) == 1
    assert words in ran.err
    assert ran.out == ""


def test_more_than_are_confirmed_says_how_many_are(confirmed: Cli) -> None:
    ran = confirmed("narrow", "--from", "confirm", "--top", "4")
    assert ran.code == 2
    assert (
        "--top 4: only 3 trials confirmed; use a smaller top, or first `hpsearch confirm --stage 1 --top 4`" in ran.err
    )


def test_settings_that_all_fail_are_said(cli: Cli, tiny: Path) -> None:
    """Trials that were good once, by chance, and diverge with other seeds stand last, with their failures."""
    tiny.write_text(tiny.read_text().replace("low = 1e-3, high = 1.0", "low = 1e-3, high = 1e12"))
    assert cli("start", "tiny.toml", "--engine", "inline", "--trials", "30").code == 0
    complete = len(plain(cli, "trials", "--state", "complete"))
    found = plain(cli, "confirm", "--engine", "inline", "--top", str(complete), "--repeats", "3")
    failing = [one["failed"] > 0 for one in found["settings"]]
    assert failing == sorted(failing)
    assert found["finished"] == 3 * complete
