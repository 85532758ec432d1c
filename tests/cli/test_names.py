"""Everything printed names stages, so every command understands such a name; and numbers of things are said rightly."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from commands import HELD_OUT, START, Cli, Made

from hpsearch.errors import BadInput
from hpsearch.search.stage import resolve_stage, resolve_study


@pytest.fixture
def two(made: Made) -> Cli:
    """The command line in a folder with a search of two stages of eight trials."""
    return made(START, "narrow --top 4", START)


def test_a_stage_s_name_is_its_search_and_number(two: Cli) -> None:
    for command in (
        "trials tiny{}",
        "best tiny{}",
        "narrow tiny{} --dry-run --branch --top 3",
        "report tiny{} --format md --out -",
        "compare tiny/stage-02 tiny/stage-01",
    ):
        named, numbered = (command.format(way).split() for way in ("/stage-01", " --stage 1"))
        ran = two(*named)
        assert ran.code == 0, ran.err
        assert ran == two(*numbered)
        assert "tiny/stage-01" in ran.out
    assert two("plot", "parallel", "tiny/stage-01").out.startswith("wrote tiny-stage-01-parallel.html")
    assert " of tiny/stage-01 to " in two("export", "tiny/stage-01", "--out", "one.json").out
    assert two("start", "tiny/stage-01", "--trials", "9", "--engine", "inline").out.startswith("tiny/stage-01 has 9 ")


def test_a_confirmation_s_name_is_what_confirm_takes(searched: Cli) -> None:
    asked = ("--top", "2", "--repeats", "2", "--engine", "inline")
    first = searched("confirm", "tiny/stage-01", *asked).out
    assert first.startswith("tiny/confirm-01 has 4 finished trials; 4 of them now")
    again = searched("confirm", "tiny/confirm-01", *asked)
    assert again.out.startswith("tiny/confirm-01 has 4 finished trials; nothing was left to do")
    assert "tiny/confirm-01 has 4 trials already" in again.err


@pytest.mark.parametrize(
    ("given", "number", "meant"),
    [
        (None, None, (None, None)),
        (None, 2, (None, 2)),
        ("mnist", 2, ("mnist", 2)),
        ("mnist/stage-02", None, ("mnist", 2)),
        ("mnist/stage-2", 2, ("mnist", 2)),
        ("a.b/stage-100", None, ("a.b", 100)),
        ("mnist/stage-two", None, ("mnist/stage-two", None)),
        ("studies/mnist/stage-02", None, ("studies/mnist/stage-02", None)),
    ],
)
def test_what_is_meant(given: str | None, number: int | None, meant: tuple[str | None, int | None]) -> None:
    assert resolve_stage(given, number) == resolve_study(given, number) == meant


def test_a_study_file_is_its_search_and_stays_a_path_where_it_is_read(tiny: Path) -> None:
    assert resolve_stage(str(tiny), 3) == ("tiny", 3)
    assert resolve_study(str(tiny), 3) == (str(tiny), 3)
    with pytest.raises(BadInput, match="are two stages"):
        resolve_stage("mnist/stage-02", 3)


def test_a_stage_that_has_its_trials_is_not_announced(searched: Cli) -> None:
    ran = searched("start", "tiny.toml", "--trials", "5", "--engine", "inline")
    assert ran.err == "tiny/stage-01 has 5 trials already\n"
    assert ran.out.startswith("tiny/stage-01 has 8 finished trials; nothing was left to do")
    assert "tiny/stage-01: 9 trials" in searched("start", "tiny.toml", "--trials", "9", "--engine", "inline").err


def test_a_package_that_is_missing_is_said_at_the_door(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    cli = made(START, study=HELD_OUT)
    for module in ("kaleido", "pyarrow", "jinja2", "optuna_dashboard", "onnx"):
        monkeypatch.setitem(sys.modules, module, None)
    for command, package in (
        ("evaluate --plot confusion.png", "hpsearch[images]"),
        ("plot history --out history.png", "hpsearch[images]"),
        ("train tiny.toml --plot curves.svg", "hpsearch[images]"),
        ("export --out trials.parquet", "hpsearch[data]"),
        ("report", "hpsearch[report]"),
        ("dashboard", "hpsearch[dashboard]"),
    ):
        ran = cli(*command.split())
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran
        assert "pip install" in ran.err
        assert package in ran.err
    # Above all no look at the test images that nothing came of.
    assert cli("evaluate").code == 0
