"""The command line as the ``cli`` fixture gives it, and the study files that the tests run."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Cli:
    """Runs commands: words with blanks between, and more words."""

    run: Callable[[Sequence[str]], Ran]

    def __call__(self, line: str, *more: str) -> Ran:
        return self.run([*line.split(), *more])

    def ok(self, line: str, *more: str) -> str:
        """Run a command that succeeds; what it printed."""
        ran = self(line, *more)
        assert ran.code == 0, (line, ran)
        return ran.out

    def json(self, line: str, *more: str) -> Any:
        """Run a command that succeeds; its JSON."""
        return json.loads(self.ok(line, *more, "--format", "json"))

    def csv(self, line: str, *more: str) -> list[dict[str, str]]:
        """Run a command that succeeds; the rows of its CSV."""
        return list(csv.DictReader(self.ok(line, *more, "--format", "csv").splitlines()))

    def refused(self, line: str, *more: str, says: str = "", code: int = 2) -> str:
        """Run a command that is refused in one line on standard error, which it returns."""
        ran = self(line, *more)
        assert (ran.code, ran.err.count("\n"), ran.out) == (code, 1, ""), (line, ran)
        assert ran.err.startswith("hpsearch: "), ran
        assert "Traceback" not in ran.err
        assert says in ran.err, ran
        return ran.err


Made = Callable[..., Cli]
"""Gives the command line in a folder where commands have run after one another, as the ``made`` fixture does."""

START = "start tiny.toml --engine inline"
CONFIRM = "confirm --engine inline --top 3 --repeats 4"
TRAIN = "train tiny.toml --set batch_norm=true --set lr=0.3 --save net.npz"

TINY = """\
name = "tiny"
[data]
name = "mnist-10k"
train = 60
validation = 40
[network]
hidden = [8]
[training]
epochs = 3
batch_size = 20
[space]
lr = { low = 1e-3, high = 1.0, log = true }
weight_decay = { low = 1e-8, high = 1e-4, log = true }
[trials]
count = 8
"""
HELD_OUT = TINY.replace("validation = 40", "validation = 40\ntest = 100")
DIVERGING = TINY.replace("low = 1e-3, high = 1.0", "low = 1e30, high = 1e32")
