"""``hpsearch report``: one file that says everything, written whole or not at all."""

from __future__ import annotations

import sqlite3
import webbrowser
from pathlib import Path

import pytest
from commands import DIVERGING, HELD_OUT, START, Cli, Made

MADE = Path("tiny-report.html")


def test_a_report_is_one_file_that_says_the_best_score(searched: Cli) -> None:
    ran = searched("report")
    best = searched("best").out.split("validation_accuracy ")[1].split()[0]
    assert ran.code == 0
    assert f"wrote {MADE} (" in ran.out
    assert f"Validation accuracy {best}" in ran.out
    text = MADE.read_text("utf-8")
    assert text.startswith("<!doctype html>")
    assert f"Validation accuracy {best}" in text
    assert len(list(Path.cwd().glob("*.html"))) == 1


def test_the_same_database_gives_the_same_bytes(searched: Cli) -> None:
    assert searched("report").code == 0
    first = MADE.read_bytes()
    assert searched("report").code == 0
    assert MADE.read_bytes() == first


def test_markdown_by_ending_by_format_and_to_standard_output(searched: Cli) -> None:
    assert searched("report", "--out", "a.md").code == 0
    assert searched("report", "--format", "md").code == 0
    shown = searched("report", "--format", "md", "--out", "-")
    assert shown.out == Path("a.md").read_text("utf-8") == Path("tiny-report.md").read_text("utf-8")
    assert "# Hyperparameter search tiny" in shown.out


def test_a_stage_is_reported_with_those_it_came_from(searched: Cli) -> None:
    assert searched("narrow", "--top", "3").code == 0
    assert searched("start", "tiny.toml", "--engine", "inline").code == 0
    assert searched("narrow", "--top", "3", "--stage", "1", "--branch").code == 0
    about, drawn_in = {}, {}
    for stage in ((), ("--stage", "1"), ("--stage", "2"), ("--stage", "3")):
        lines = searched("report", "--format", "md", "--out", "-", *stage).out.splitlines()
        about[stage[1:]] = next(line for line in lines if "trial" in line)
        drawn_in[stage[1:]] = [line.split(" | ")[1] for line in lines if line.startswith("| lr | stage")]
    assert about[()].startswith("3 stages; 16 trials")
    assert about[("1",)].startswith("1 stage; 8 trials")
    assert about[("2",)].startswith("2 stages; 16 trials")
    assert about[("3",)].startswith("2 stages; 8 trials")
    assert drawn_in[("3",)] == ["stage 1", "stage 3"]


def test_confirmed_and_evaluated_values_are_in_it(made: Made) -> None:
    cli = made(START, study=HELD_OUT)
    assert cli("confirm", "--top", "2", "--repeats", "2", "--engine", "inline").code == 0
    assert cli("evaluate", "--confirmed").code == 0
    text = cli("report", "--format", "md", "--out", "-").out
    assert "**Test accuracy 0." in text
    assert "Run again 2 times with other seeds" in text
    assert "On the test set of 100 examples" in text


def test_only_a_report_is_written_over(searched: Cli) -> None:
    mine = Path("mine.html")
    mine.write_text("my own")
    ran = searched("report", "--out", "mine.html")
    assert ran.code == 2
    assert "is no report of hpsearch" in ran.err
    assert mine.read_text() == "my own"
    assert searched("report", "--out", "mine.html", "--force").code == 0
    assert searched("report", "--out", "mine.html").code == 0
    assert searched("report", "--out", "a.md").code == 0
    assert searched("report", "--out", "a.md").code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--out", "a.txt"), "let it end with .html or .md"),
        (("--out", "a.md", "--format", "html"), "--format html: does not go with 'a.md'"),
        (("--out", "nowhere/a.html"), "there is no folder nowhere"),
        (("--out", "studies/", "--format", "html"), "it is a folder"),
        (("--out", "-", "--open"), "there is no file to open"),
        (("--stage", "9"), "tiny has no stage 9"),
        (("nope",), "no search 'nope'"),
        (("--format", "pdf"), "--format 'pdf'; known: html, md"),
    ],
)
def test_what_cannot_be_done_is_one_line(searched: Cli, arguments: tuple[str, ...], says: str) -> None:
    ran = searched("report", *arguments)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert says in ran.err
    assert not MADE.exists()


def test_it_is_opened_when_asked(searched: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert searched("report", "--open", "--format", "md").code == 0
    assert opened == [(Path.cwd() / "tiny-report.md").as_uri()]


def test_trials_that_kept_neither_curves_nor_hits_are_reported_too(searched: Cli) -> None:
    """As of an older hpsearch, or of somebody else's study."""
    with sqlite3.connect("studies/hpsearch.db") as connection:
        connection.execute("DELETE FROM trial_user_attributes")
        connection.execute("DELETE FROM trial_intermediate_values")
        connection.execute(
            "DELETE FROM study_user_attributes WHERE key IN ('hpsearch:data_sizes', 'hpsearch:study_file')"
        )
    connection.close()
    ran = searched("report")
    assert ran.code == 0, ran.err
    assert "Score 0." in MADE.read_text("utf-8")


def test_a_search_that_only_failed_has_a_report(made: Made) -> None:
    cli = made(START, study=DIVERGING)
    ran = cli("report", "--format", "md", "--out", "-")
    assert ran.code == 0
    assert "**All trials failed**" in ran.out
    assert "loss became" in ran.out
