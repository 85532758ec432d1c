"""`hpsearch report` and `plot`: one file that is written whole or not at all, and is nobody else's."""

from __future__ import annotations

import sqlite3
import webbrowser
from pathlib import Path

import pytest
from commands import START, Cli, Made

from hpsearch.reports import OF_ONE_STAGE, PlotKind

PAGE = Path("tiny-report.html")
MARKDOWN = "report --format md --out -"


@pytest.fixture
def staged(made: Made) -> Cli:
    """The command line in a folder with a search of two stages, the second without trials."""
    return made(START, "narrow --top 3")


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"studies", "tiny.toml"}


def test_a_report_is_one_file_that_says_the_best_score(searched: Cli, tmp_path: Path) -> None:
    out = searched.ok("report")
    best = searched.ok("best").split("validation_accuracy ")[1].split()[0]
    assert f"wrote {PAGE} (" in out
    text = PAGE.read_text("utf-8")
    assert text.startswith("<!doctype html>")
    for shown in (out, text):
        assert f"Validation accuracy {best}" in shown
    assert files(tmp_path) == {PAGE.name}
    assert searched("report").code == 0
    assert PAGE.read_text("utf-8") == text


def test_markdown_by_ending_by_format_and_to_standard_output(searched: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    for command in ("report --out a.md", "report --out a.md", "report --format md --open"):
        searched.ok(command)
    shown = searched.ok(MARKDOWN)
    assert shown == Path("a.md").read_text("utf-8") == Path("tiny-report.md").read_text("utf-8")
    assert "# Hyperparameter search tiny" in shown
    assert opened == [(Path.cwd() / "tiny-report.md").as_uri()]
    Path("mine.md").write_text("my own")
    searched.ok("report --out mine.md --force")
    searched.ok("report --out mine.md")


def test_a_stage_is_reported_with_those_it_came_from(made: Made) -> None:
    rule = "--rule order-statistics"  # which changes every range
    cli = made(START, f"narrow --top 4 {rule}", START)
    assert cli(f"narrow --top 3 --stage 1 --branch {rule}").code == 0
    for stage, about in (
        ("", "3 stages; 16 trials"),
        ("--stage 1", "1 stage; 8 trials"),
        ("--stage 2", "2 stages; 16 trials"),
        ("--stage 3", "2 stages; 8 trials"),
    ):
        lines = cli.ok(f"{MARKDOWN} {stage}").splitlines()
        assert next(line for line in lines if "trial" in line).startswith(about)
    assert [line.split(" | ")[1] for line in lines if line.startswith("| lr | stage")] == ["stage 1", "stage 3"]


def test_trials_that_kept_neither_curves_nor_hits_are_reported_too(searched: Cli) -> None:
    """As of an older hpsearch, or of somebody else's study."""
    with sqlite3.connect("studies/hpsearch.db") as connection:
        connection.execute("DELETE FROM trial_user_attributes")
        connection.execute("DELETE FROM trial_intermediate_values")
        connection.execute(
            "DELETE FROM study_user_attributes WHERE key IN ('hpsearch:data_sizes', 'hpsearch:study_file')"
        )
    connection.close()
    searched.ok("report")
    assert "Score 0." in PAGE.read_text("utf-8")


def test_every_kind_is_plotted(staged: Cli, tmp_path: Path) -> None:
    for kind in PlotKind:
        ran = staged("plot", kind)
        name = f"tiny-stage-01-{kind}.html" if kind in OF_ONE_STAGE else f"tiny-{kind}.html"
        assert (ran.code, ran.err, ran.out.startswith(f"wrote {name}: ")) == (0, "", True)
        assert files(tmp_path) == {name}
        assert "<title>tiny" in (tmp_path / name).read_text("utf-8")
        (tmp_path / name).unlink()
    page = staged.ok("plot history --out -")
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert files(tmp_path) == set()
    for kind in (*OF_ONE_STAGE - {PlotKind.curves}, PlotKind.history, PlotKind.pair):
        assert staged(f"plot {kind} --stage 2 --out a.html").err == "", kind
    assert "there are no trials yet" in Path("a.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("curves --top 3 --quantity loss --parameter weight_decay", "Loss by epoch of the best 3 trials|weight_decay"),
        ("pair --parameter weight_decay --parameter lr", "weight_decay against lr|stage 1, stage 2 are rectangles"),
        ("parameters --parameter lr", "against lr|the next range is"),
    ],
)
def test_options_reach_the_figure(staged: Cli, options: str, says: str) -> None:
    out = staged.ok(f"plot {options} --out a.html")
    for words in says.split("|"):
        assert words in out


def test_a_dark_figure(staged: Cli) -> None:
    plain, dark = (staged.ok(f"plot curves --out - {option}") for option in ("", "--dark"))
    assert dark.count("#16191d") > plain.count("#16191d")


def test_a_file_is_whole_or_as_it_was(staged: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.html").write_text("old")

    def full(self: Path, content: bytes) -> int:
        with open(self, "wb") as stream:
            stream.write(content[:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    ran = staged("plot history --out a.html")
    assert (ran.code, ran.out, ran.err) == (1, "", "hpsearch: cannot write a.html: No space left on device\n")
    assert (tmp_path / "a.html").read_text() == "old"
    assert files(tmp_path) == {"a.html"}
