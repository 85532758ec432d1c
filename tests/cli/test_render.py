"""Words for actions and structured errors, the one JSON form, and tables in terminals of any width."""

from __future__ import annotations

import json
import math
import pickle
import re
import string
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Cli
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from hpsearch import Search
from hpsearch.__main__ import main
from hpsearch.cli import terminal
from hpsearch.cli.progress import fitting
from hpsearch.cli.render import emit, explained, least_width, note, say
from hpsearch.cli.terminal import table
from hpsearch.errors import BadArgument, HpsearchError, UnknownSearch
from hpsearch.records import Action, Argument, Sentence
from hpsearch.serialization import to_plain
from hpsearch.space import Float
from hpsearch.wording import command, word


@pytest.mark.parametrize(
    ("action", "shell", "python"),
    [
        (Action("narrow", {"search": "mnist", "top": 5}), "hpsearch narrow mnist --top 5", "narrow(top=5)"),
        (Action("start", {"search": "mnist"}), "hpsearch start", "start()"),
        (Action("start", {"search": "a b"}), "hpsearch start 'a b'", "start()"),
        (Action("confirm", {"top": None, "stage": 2}), "hpsearch confirm --stage 2", "confirm(stage=2)"),
        (
            Action("narrow", {"search": "x", "source": "confirm", "dry_run": True, "expand": False}),
            "hpsearch narrow x --from confirm --dry-run",
            "narrow(source='confirm', dry_run=True)",
        ),
        (
            Action("evaluate", {"search": "x", "by": "confirmed", "again": True}),
            "hpsearch evaluate x --again --confirmed --save model.npz",
            "evaluate(by='confirmed', again=True)",
        ),
        (Action("db check", {"storage": "/x/y.db"}), "hpsearch db check --storage /x/y.db", "db check()"),
        (Action("trials", {"storage": "studies/hpsearch.db"}), "hpsearch trials", "trials()"),
        (Action("trials", {"storage": "postgresql://u:***@h/d"}), "hpsearch trials --storage URL", "trials()"),
    ],
)
def test_an_action_is_a_command_or_a_call(action: Action, shell: str, python: str) -> None:
    assert (command(action), str(action)) == (shell, python)


@pytest.mark.parametrize(
    ("error", "shell", "python"),
    [
        (HpsearchError("the disk {is} full"), "the disk {is} full", "the disk {is} full"),
        (
            UnknownSearch("no search yet; `{}` begins one", Action("start", {"search": "x"})),
            "no search yet; `hpsearch start x` begins one",
            "no search yet; `start()` begins one",
        ),
        (HpsearchError("leave {} out", Argument("dry_run")), "leave --dry-run out", "leave dry_run out"),
        (
            BadArgument("top", 9, "only 8 trials have finished", "use a smaller top"),
            "--top 9: only 8 trials have finished; use a smaller top",
            "top=9: only 8 trials have finished; use a smaller top",
        ),
    ],
)
def test_an_error_is_worded_for_its_reader(error: HpsearchError, shell: str, python: str) -> None:
    assert (*explained(error), str(error)) == (shell, error.exit_code, python)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.__dict__) == (type(error), str(error), error.__dict__)


@pytest.mark.parametrize(
    ("raised", "line"), [((), "stopped"), (("stopped at once; it stays",), "stopped at once; it stays")]
)
def test_ctrl_c_says_what_was_stopped(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, raised: tuple[str, ...], line: str
) -> None:
    def interrupted(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt(*raised)

    monkeypatch.setattr(Search, "trials", interrupted)
    ran = cli("trials")
    assert (ran.code, ran.err.strip()) == (130, f"hpsearch: {line}")


@dataclass
class Kept:
    """A record with a bit of everything."""

    score: Any
    when: datetime
    space: dict[str, Float]
    arrays: Any = field(repr=False, default=None)


def test_records_have_one_json_form() -> None:
    record = Kept(np.float32(0.5), datetime(2026, 1, 2, tzinfo=UTC), {"lr": Float(0.1, 1, log=True)}, object())
    plain = to_plain({"a": record, 2: (math.nan, math.inf, np.arange(2)), "p": Path("x"), "s": {2, 1}, "b": True})
    assert json.loads(json.dumps(plain, allow_nan=False)) == {
        "a": {
            "score": 0.5,
            "when": "2026-01-02T00:00:00+00:00",
            "space": {"lr": {"type": "float", "low": 0.1, "high": 1, "log": True}},
        },
        "2": [None, None, [0, 1]],
        "p": "x",
        "s": [1, 2],
        "b": True,
    }
    advice = Sentence("next: {}", (Action("start", {"search": "x"}),))
    assert to_plain([advice, advice.mentions]) == ["next: start()", [{"kind": "start", "arguments": {"search": "x"}}]]
    assert to_plain([advice, advice.mentions], word=word) == ["next: hpsearch start x", ["hpsearch start x"]]
    with pytest.raises(TypeError, match="object has no JSON form"):
        to_plain(object())


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
    assert least_width(STATUS) == 14 + 8 + 8 + 7 + 6 + 4 * 2
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


@pytest.mark.parametrize("width", [3, 8, 20])
def test_a_terminal_narrower_than_a_word_gets_all_words(width: int) -> None:
    lines = printed({"number": [1, 2], "narrow words": ["of several letters", "고양이"]}, width)
    assert set("12") | set("ofseverallettersnumbernarrowwords고양이") <= set("".join(lines))


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


HOSTILE = [
    "\x1b[31mred\x1b]0;title\x07",
    "\x9b2J",
    "\u202eevil",
    "nul\0",
    "\udcff",
    "line\nline\r",
    "n" * 50_000,
    ":heart: [b]",
]


class Screen(StringIO):
    """Standard output or error, a terminal or not."""

    encoding = "utf-8"

    def __init__(self, *, looks: bool) -> None:
        super().__init__()
        self._looks = looks

    def isatty(self) -> bool:
        return self._looks


@pytest.mark.parametrize("looks", [True, False])
def test_no_output_steers_the_terminal(monkeypatch: pytest.MonkeyPatch, looks: bool) -> None:
    screen = Screen(looks=looks)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    for text in HOSTILE:
        say(f"the name {text} is odd")
        note(text)
        emit({"name": [text], text: [1.5]}, "table", title=text)
        emit({text: [text]}, "csv")
        assert main([text]) == 2
    assert all(character.isprintable() for character in screen.getvalue().replace("\n", ""))
    assert len(screen.getvalue()) < (20_000 if looks else 200_000)
    assert "[b]" in screen.getvalue()
    assert ":heart:" in screen.getvalue()


def test_json_has_every_character_and_steers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding in ("utf-8", "latin-1"):
        screen = Screen(looks=False)
        screen.encoding = encoding
        monkeypatch.setattr(sys, "stdout", screen)
        emit({"name": [*HOSTILE, "é길"]}, "json")
        assert [row["name"] for row in json.loads(screen.getvalue())] == [*HOSTILE, "é길"]
        assert all(character.isprintable() for character in screen.getvalue().replace("\n", ""))
        screen.getvalue().encode(encoding)


@pytest.mark.parametrize("looks", [True, False])
def test_wide_characters_line_up(monkeypatch: pytest.MonkeyPatch, looks: bool) -> None:
    screen = Screen(looks=looks)
    monkeypatch.setattr(sys, "stdout", screen)
    for name, value in {"COLUMNS": "40", "NO_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    emit({"분류": ["고양이", "개", "a"], "길이": [1.5, 22.25, 3.0]}, "table")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert [cell_len(line) for line in lines] == [13] * 4
    assert lines[2] == "개      22.25"


def test_a_long_table_on_a_terminal_takes_no_longer_than_its_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Screen(looks=True))
    monkeypatch.setenv("COLUMNS", "40")
    columns: dict[str, list[Any]] = {f"name{i}": [0.5 * i] * 2000 for i in range(6)} | {"text": ["two words"] * 2000}
    seconds = []
    for form in ("json", "table"):
        began = time.process_time()
        emit(columns, form)
        seconds.append(time.process_time() - began)
    assert seconds[1] < 5 * seconds[0]  # Rich's own tables: 100
