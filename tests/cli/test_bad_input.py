"""Bad input: one clear line on standard error, exit code 2, and nothing lost or left behind."""

from __future__ import annotations

import gzip
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from commands import DIVERGING, START, Cli, Made

Prepare = Callable[[Path], object]


class Case(NamedTuple):
    """A command that cannot work, what the folder holds before it, and what its line must say."""

    name: str
    command: str
    says: str
    prepare: Prepare = lambda folder: None


def edited(old: str, new: str) -> Prepare:
    """A copy of the tiny study file with one thing changed: bad.toml."""

    def prepare(folder: Path) -> None:
        text = (folder / "tiny.toml").read_text()
        assert old in text
        (folder / "bad.toml").write_text(text.replace(old, new))

    return prepare


def with_data(source: str, make: Callable[[Path], object]) -> Prepare:
    """A study file over a data file of one's own."""

    def prepare(folder: Path) -> None:
        edited('name = "mnist-10k"', f'path = "{source}"')(folder)
        make(folder / source)

    return prepare


def npz(**arrays: Any) -> Callable[[Path], None]:
    """Writes arrays to an .npz file."""
    return lambda path: np.savez(path, **arrays)


def idx_folder(images: bytes) -> Callable[[Path], None]:
    """A folder of IDX files whose images are these bytes."""

    def make(path: Path) -> None:
        path.mkdir()
        (path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        labels = struct.pack(">II", 0x801, 100) + bytes(i % 10 for i in range(100))
        (path / "train-labels-idx1-ubyte").write_bytes(labels)

    return make


def other_tables(path: Path) -> None:
    """A SQLite database of somebody else's."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (id INTEGER)")
    connection.close()


X = np.random.default_rng(0).random((100, 4))
Y = np.arange(100) % 3
NAN = np.where(np.arange(400).reshape(100, 4) == 10, np.nan, X)

STUDY = [
    Case("unknown search", "start nope", "no study file studies/nope.toml"),
    Case("misspelt search", "start mnsit", "did you mean 'mnist'"),
    Case("missing study file", "start missing.toml", "cannot read the study file missing.toml"),
    Case("unknown key", "start bad.toml", "did you mean 'epochs'", edited("epochs", "epoch")),
    Case("unknown section", "start bad.toml", "did you mean 'training'", edited("[training]", "[trianing]")),
    Case("not TOML", "start bad.toml", "not valid TOML", edited("[data]", "[data")),
    Case("unknown parameter", "start bad.toml", "did you mean 'lr'", edited("lr =", "learning_rate =")),
    Case("low >= high", "start bad.toml", "low = 2.0 is not below high = 1.0", edited("low = 1e-3", "low = 2.0")),
    Case("log range touching 0", "start bad.toml", "must lie above 0", edited("low = 1e-3", "low = 0")),
    Case("bound not a number", "start bad.toml", "not a finite number", edited("low = 1e-3", "low = nan")),
    Case(
        "choices repeated",
        "start bad.toml",
        "choice 'relu' is repeated",
        edited("[trials]", 'activation = { choices = ["relu", "relu"] }\n[trials]'),
    ),
    Case(
        "unknown activation",
        "start bad.toml",
        "no activation 'rleu'",
        edited("hidden = [8]", 'hidden = [8]\nactivation = "rleu"'),
    ),
    Case("name with a path", "start bad.toml", "is not a name for a search", edited('"tiny"', '"../tiny"')),
    Case("name of 600 characters", "start bad.toml", "600 characters", edited('"tiny"', f'"{"x" * 600}"')),
    Case("init with a path", "init ../mine", "is not a name for a search"),
    Case("trials = 0", "start tiny.toml --trials 0", "--trials 0: give a number from 1"),
    Case("trials = 0 in the file", "start bad.toml", "trials.count", edited("count = 8", "count = 0")),
    Case("jobs = 0", "start tiny.toml --jobs 0", "--jobs 0: give a number from 1"),
    Case("more jobs than there can be", "start tiny.toml --jobs 99999", "from 1 to 1,024"),
    Case("unknown engine", "start tiny.toml --engine dusk", "--engine dusk: no such engine"),
    Case("top without stages", "start tiny.toml --top 3", "--top 3 without --stages"),
    Case("expand without stages", "start tiny.toml --expand", "--expand without --stages"),
    Case("top > trials of each stage", "start tiny.toml --stages 2 --top 9", "--top 9: a stage has 8 trials"),
    Case("a name beyond all length", f"start {'a' * 300}", "300 characters"),
    Case("data for a study file", "start my.csv", "my.csv is no study file"),
    Case("a folder for a study file", "start .", "is no study file"),
    Case(
        "a number without end",
        "start bad.toml",
        "not TOML that can be read",
        edited("epochs = 3", f"epochs = {'9' * 5000}"),
    ),
    Case("negative seed", "start tiny.toml --seed=-1", "--seed -1"),
]
DATA = [
    Case("unknown data set", "start bad.toml", "did you mean 'mnist-10k'", edited("mnist-10k", "mnist-10")),
    Case(
        "too many images",
        "start bad.toml",
        "10040 is more than the 10000 examples",
        edited("train = 60", "train = 10_000"),
    ),
    Case("no such file", "start bad.toml", "my.npz", with_data("my.npz", lambda path: None)),
    Case("labels that don't fit", "start bad.toml", "labels", with_data("my.npz", npz(x=X, y=Y[:-1]))),
    Case("NaN in the data", "start bad.toml", "NaN", with_data("my.npz", npz(x=NAN, y=Y))),
    Case(
        "csv with text",
        "start bad.toml",
        "'red'",
        with_data("my.csv", lambda path: path.write_text("a,label\n1,0\nred,1\n")),
    ),
    Case(
        "truncated IDX",
        "start bad.toml",
        "train-images-idx3-ubyte.gz",
        with_data("idx", idx_folder(struct.pack(">IIII", 0x803, 100, 28, 28) + bytes(99))),
    ),
    Case("not IDX", "start bad.toml", "IDX", with_data("idx", idx_folder(b"this is no IDX file at all"))),
]
STORAGE = [
    Case("unknown scheme", "start tiny.toml --storage foo://bar", "unknown storage scheme 'foo'"),
    Case(
        "a text file",
        "start tiny.toml --storage notes.db",
        "notes.db is not a SQLite database",
        lambda folder: (folder / "notes.db").write_text("dear diary, this is long enough to be a header"),
    ),
    Case(
        "another schema",
        "start tiny.toml --storage other.db",
        "holds other tables (recipes)",
        lambda folder: other_tables(folder / "other.db"),
    ),
    Case("missing folder", "start tiny.toml --storage gone/my.db", "the folder gone"),
    Case("a folder", "start tiny.toml --storage .", "is a folder"),
    Case(
        "a file for the folder", "start tiny.toml", "cannot make the folder", lambda f: (f / "studies").write_text("")
    ),
    Case("an option with a wrong value", "start tiny.toml --storage sqlite:///a.db?timeout=abc", "cannot be used"),
    Case("an unknown option of a driver", "start tiny.toml --storage sqlite:///a.db?foo=bar", "cannot be used"),
    Case("in memory", "start tiny.toml --storage sqlite://", "in memory"),
    Case("no database yet", "status", "no database studies/hpsearch.db; `hpsearch start` makes one"),
]
USAGE = [
    Case("unknown command", "strat", "did you mean 'start'"),
    Case("a misspelt option", "start --trails 3", "start has no option --trails; did you mean '--trials'?"),
    Case("an option without its value", "start --trials", "--trials: a value is missing"),
    Case("a value for a switch", "start --expand=3", "--expand takes no value"),
    Case("not a number", "start --trials many", "--trials many: give a whole number"),
    Case("a number out of bounds", "dashboard --port 99999", "--port 99999: give a whole number from 0 to 65,535"),
    Case("no kind", "plot", "plot needs KIND: one of curves, parameters"),
    Case("no file", "import", "import needs FILE_OR_URL; `hpsearch import --help` says"),
    Case("unknown command of a group", "model shw", "no command 'shw' of model; did you mean 'show'?"),
    Case("one argument too many", "best tiny other", "best takes no further argument: other"),
    Case("unknown format", "status --format xml", "--format 'xml'; known: csv, json, table"),
    Case(
        "misspelt state", "trials --state complet", "--state 'complet'; did you mean 'complete'? known: complete, fail"
    ),
]
AFTER = [
    Case("two stages named", "trials tiny/stage-01 --stage 2", "tiny/stage-01 and --stage 2 are two stages"),
    Case("a stage of a whole search", "findings tiny/stage-01", "this is about a whole search: give tiny"),
    Case("a stage that is not there", "best tiny/stage-07", "tiny has no stage 7; known: 1"),
    Case("a stage of no search", "narrow tniy/stage-01", "did you mean 'tiny'"),
    Case("a stage of a figure of all", "plot lineage tiny/stage-01", "stage 1: lineage plots all stages"),
    Case("a confirmation", "trials tiny/confirm-01", "`hpsearch narrow tiny --stage 1 --from confirm`"),
    Case("unknown search in the database", "narrow tniy", "did you mean 'tiny'"),
    Case("unknown stage", "trials --stage 7", "tiny has no stage 7; known: 1"),
    Case("top > finished trials", "narrow --top 9", "the top 9 needs 9 trials that finished with a score"),
    Case("top = 1", "narrow --top 1", "give at least 2"),
    Case("quantile out of range", "narrow --quantile 1.5", "--quantile 1.5"),
    Case("top and quantile", "narrow --top 3 --quantile 0.5", "give one of them"),
    Case("another seed", "start tiny.toml --seed 5", "--seed 5: tiny/stage-01 was begun with seed 0"),
    Case("top with a failed state", "trials --top 3 --state fail", "only complete trials have a score"),
    Case("stage to start unknown", "start tiny.toml --stage 4", "tiny has no stage 4; known: 1"),
]


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for SQLite's own side files."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def refused(cli: Cli, case: Case, folder: Path) -> str:
    """Run a case; its line, after checking that it is one and that nothing has changed."""
    case.prepare(folder)
    before = snapshot(folder)
    ran = cli(*case.command.split())
    assert ran.code == 2, ran
    assert ran.err.count("\n") == 1, ran.err
    assert ran.err.startswith("hpsearch: ")
    assert "Traceback" not in ran.err
    assert ran.out == ""
    assert case.says in ran.err
    assert snapshot(folder) == before
    return ran.err


@pytest.mark.parametrize("case", STUDY + DATA + STORAGE + USAGE, ids=lambda case: case.name)
def test_one_line_and_nothing_left_behind(cli: Cli, tiny: Path, case: Case) -> None:
    refused(cli, case, tiny.parent)


@pytest.mark.parametrize("case", AFTER, ids=lambda case: case.name)
def test_one_line_over_a_database_that_has_trials(searched: Cli, tmp_path: Path, case: Case) -> None:
    refused(searched, case, tmp_path)


def test_narrowing_a_stage_without_finished_trials(made: Made) -> None:
    ran = made(START, study=DIVERGING)("narrow")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "no trial with a score" in ran.err


def test_a_debug_run_shows_the_traceback(cli: Cli) -> None:
    with pytest.raises(Exception, match="no study file"):
        cli("start", "nope", "--debug")
