"""Words of the command line for actions and structured errors, and the one JSON form."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpsearch.cli.render import command, message, word
from hpsearch.errors import BadArgument, HpsearchError, NotEnoughTrials, UnknownSearch
from hpsearch.records import Action, Argument, Sentence
from hpsearch.serialization import to_plain
from hpsearch.space import Float


@dataclass(eq=False)
class TooFew(NotEnoughTrials):
    """Fewer trials have finished than were to be used."""

    top: int
    finished: int


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
        (
            HpsearchError("leave {} out", Argument("dry_run")),
            "leave --dry-run out",
            "leave dry_run out",
        ),
        (
            BadArgument("top", 9, "only 8 trials have finished", "use a smaller top"),
            "--top 9: only 8 trials have finished; use a smaller top",
            "top=9: only 8 trials have finished; use a smaller top",
        ),
        (BadArgument("seed", -1, "give a whole number from 0"), "--seed -1: give a whole number from 0", None),
        (
            TooFew(top=9, finished=8),
            "Fewer trials have finished than were to be used: top=9, finished=8",
            "Fewer trials have finished than were to be used: top=9, finished=8",
        ),
    ],
)
def test_an_error_is_worded_for_its_reader(error: HpsearchError, shell: str, python: str | None) -> None:
    assert message(error) == shell
    assert python is None or str(error) == python
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.__dict__) == (type(error), str(error), error.__dict__)


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
