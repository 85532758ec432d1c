"""``hpsearch plot``: every kind from a real database, one line for what is wrong, a file whole or not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import START, Cli, Made

from hpsearch.reports.plot_kinds import OF_ONE_STAGE, PlotKind


@pytest.fixture
def staged(made: Made) -> Cli:
    """The command line in a folder with a search of two stages, the second without trials."""
    return made(START, "narrow --top 3")


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"studies", "tiny.toml"}


def title(page: Path) -> str:
    found = re.search(r"<title>(.*?)</title>", page.read_text("utf-8"))
    assert found is not None
    return found[1]


def test_every_kind_is_drawn_and_said(staged: Cli, tmp_path: Path) -> None:
    for kind in PlotKind:
        ran = staged("plot", kind)
        assert (ran.code, ran.err) == (0, "")
        name = f"tiny-stage-01-{kind}.html" if kind in OF_ONE_STAGE else f"tiny-{kind}.html"
        assert ran.out.startswith(f"wrote {name}: ")
        assert files(tmp_path) == {name}
        assert title(tmp_path / name).startswith("tiny")
        (tmp_path / name).unlink()


def test_a_page_to_standard_output(staged: Cli, tmp_path: Path) -> None:
    ran = staged("plot", "history", "--out", "-")
    assert ran.code == 0
    assert ran.out.startswith("<!doctype html>")
    assert ran.out.endswith("</html>\n")
    assert files(tmp_path) == set()


def test_options_reach_the_figure(staged: Cli, tmp_path: Path) -> None:
    assert "learning curves of the best 3 trials" in (
        staged("plot", "curves", "--top", "3", "--quantity", "loss", "--out", "a.html").out
        and title(tmp_path / "a.html")
    )
    ran = staged("plot", "curves", "--top", "3", "--quantity", "loss", "--parameter", "weight_decay", "--out", "a.html")
    assert "Loss by epoch of the best 3 trials" in ran.out
    assert "weight_decay" in ran.out
    ran = staged("plot", "pair", "--parameter", "weight_decay", "--parameter", "lr", "--out", "a.html")
    assert "weight_decay against lr" in ran.out
    assert "stage 1, stage 2 are rectangles" in ran.out
    ran = staged("plot", "parameters", "--parameter", "lr", "--out", "a.html")
    assert "against lr" in ran.out
    assert "the next range is" in ran.out
    light = len(re.findall("#16191d", (tmp_path / "a.html").read_text("utf-8")))
    assert staged("plot", "parameters", "--dark", "--out", "a.html").code == 0
    assert len(re.findall("#16191d", (tmp_path / "a.html").read_text("utf-8"))) > light


def test_a_stage_without_trials_is_a_figure_that_says_so(staged: Cli, tmp_path: Path) -> None:
    for kind in (*OF_ONE_STAGE, PlotKind.history, PlotKind.pair):
        ran = staged("plot", kind, "--stage", "2", "--out", "a.html")
        assert (ran.code, ran.err) == (0, ""), kind
    assert "there are no trials yet" in (tmp_path / "a.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pie"], "no kind 'pie'; did you mean 'pair'? known: curves"),
        ([], "plot needs KIND"),
        (["curves", "nothing"], "no search 'nothing'"),
        (["curves", "--stage", "7"], "has no stage 7"),
        (["stages", "--stage", "1"], "stages plots all stages; leave it out"),
        (["curves", "--out", "a.jpeg"], "the name must end with .html, .png, .svg, .pdf"),
        (["curves", "--out", "a.jpeg", "--storage", "nothing.db"], "the name must end with"),
        (["curves", "--out", "no/folder/a.html"], "make it first"),
        (["curves", "--top", "21"], "give up to 20"),
        (["parallel", "--top", "0"], "--top 0: too few; give at least 1"),
        (["pair", "--top", "5"], "--top: of no use to pair"),
        (["pair", "--quantity", "loss"], "only to curves"),
        (["curves", "--quantity", "error"], "--quantity 'error'; known: accuracy, loss"),
        (["parameters", "--parameter", "lrr"], "did you mean 'lr'?"),
        (["pair", "--parameter", "lr"], "pair takes 2"),
        (["pair", "--parameter", "lr", "--parameter", "lr"], "given twice"),
        (["history", "--storage", "nothing.db"], "nothing.db"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_no_file(
    staged: Cli, tmp_path: Path, arguments: list[str], says: str
) -> None:
    ran = staged("plot", *arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1
    assert files(tmp_path) == set()


def test_a_file_is_whole_or_as_it_was(staged: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.html").write_text("old")

    def full(self: Path, content: bytes) -> int:
        with open(self, "wb") as stream:
            stream.write(content[:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    ran = staged("plot", "history", "--out", "a.html")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "hpsearch: cannot write a.html: No space left on device\n"
    assert (tmp_path / "a.html").read_text() == "old"
    assert files(tmp_path) == {"a.html"}
