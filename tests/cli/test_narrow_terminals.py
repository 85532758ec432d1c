"""Tables in terminals of any width: nothing is cut off, no number is broken."""

from __future__ import annotations

import re
import string
import sys
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hpsearch.cli import terminal
from hpsearch.cli.progress import fitting
from hpsearch.cli.render import least_width, say
from hpsearch.cli.terminal import table


def printed(columns: dict[str, list[Any]], width: int) -> list[str]:
    screen = Console(file=StringIO(), force_terminal=True, color_system=None, width=width)
    screen.print(table(columns, screen))
    stream: Any = screen.file
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()]


STATUS: dict[str, list[Any]] = {
    "stage": ["mnist/stage-01", "mnist/stage-02"],
    "from": [None, "stage-01"],
    "finished": [100, 100],
    "running": [0, 7],
    "best": [0.79, 0.8912],
}


def test_where_there_is_room_nothing_is_broken() -> None:
    assert printed(STATUS, 80) == [
        "stage           from      finished  running    best",
        "mnist/stage-01  -              100        0    0.79",
        "mnist/stage-02  stage-01       100        7  0.8912",
    ]


def test_then_headings_are_broken_then_the_gaps_halved_then_the_table_cut() -> None:
    columns: dict[str, list[Any]] = {"trial": [5], "validation_accuracy": [0.875], "weight_decay": [1.25e-08]}
    assert [line.split() for line in printed(columns, 34)] == [
        ["validation", "weight"],
        ["trial", "accuracy", "decay"],
        ["5", "0.875", "1.25e-08"],
    ]
    assert least_width(STATUS) == 14 + 8 + 8 + 7 + 6 + 5 * 2
    assert printed(STATUS, 50)[0] == "stage          from     finished running   best"
    assert printed(STATUS, 41) == [
        "stage          from     finished running",
        "mnist/stage-01 -             100       0",
        "mnist/stage-02 stage-01      100       7",
        "",
        "stage            best",
        "mnist/stage-01   0.79",
        "mnist/stage-02 0.8912",
    ]


WORD = st.text(string.ascii_lowercase, min_size=1, max_size=12)
CELLS = (
    st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3)
    | st.lists(st.integers(0, 10**9), min_size=3, max_size=3)
    | st.lists(st.lists(WORD, min_size=1, max_size=6).map(" ".join) | st.none(), min_size=3, max_size=3)
)


@given(columns=st.dictionaries(WORD, CELLS, min_size=1, max_size=12), width=st.integers(34, 100))
def test_no_word_and_no_number_is_lost_at_any_width(columns: dict[str, list[Any]], width: int) -> None:
    lines = printed(columns, width)
    assert all(len(line) <= width for line in lines)
    words = " ".join(lines).split()
    for name, cells in columns.items():
        assert name in words
        for cell in cells:
            text = f"{cell:.4g}" if isinstance(cell, float) else "-" if cell is None else str(cell)
            assert set(text.split()) <= set(words)


@pytest.mark.parametrize("width", [60, 80])
def test_a_word_that_is_too_long_is_folded(width: int) -> None:
    path = "/a" * 60
    assert "".join(line.split()[-1] for line in printed({"name": ["x"], "where": [path]}, width)[1:]) == path


def test_the_line_beside_the_bar_says_what_fits() -> None:
    parts = {"best": "best 0.75 (trial 17)", "pruned": "46 stopped early", "rate": "27.5 trials/s", "left": "9 s left"}
    assert fitting(parts, 63) == "best 0.75 (trial 17), 46 stopped early, 27.5 trials/s, 9 s left"
    assert fitting(parts, 62) == "best 0.75 (trial 17), 27.5 trials/s, 9 s left"
    assert fitting(parts, 44) == "best 0.75 (trial 17), 9 s left"
    assert fitting(parts, 10) == "9 s left"
    assert fitting({"best": parts["best"]}, 10) == ""
    assert len(parts) == 4


@pytest.mark.parametrize(
    ("is_terminal", "lines"), [(True, ["data   one", "       two-three", "       four"]), (False, None)]
)
def test_a_wrapped_line_hangs(monkeypatch: pytest.MonkeyPatch, is_terminal: bool, lines: list[str] | None) -> None:
    stream = StringIO()
    screen = Console(file=stream, force_terminal=True, color_system=None, width=19)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(terminal, "console", lambda **_: screen)
    say("data   one two-three four", hanging=7)
    assert stream.getvalue().splitlines() == (lines or ["data   one two-three four"])
