"""``--engine dask`` at the command line: the same values, and what is refused at the door."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from commands import Cli

TIMES = ("seconds", "started", "finished")


def test_a_search_on_dask_equals_one_in_this_process(cli: Cli, tiny: Path, scheduler: str) -> None:
    import pandas as pd

    frames = []
    for engine, options in (("inline", ()), ("dask", ("--scheduler", scheduler))):
        storage = ("--storage", f"{engine}.db")
        ran = cli("start", str(tiny), "--engine", engine, *options, *storage)
        assert ran.code == 0, ran.err
        said = ("tiny/stage-01: 8 trials, ", "4/8", "8/8")
        assert all(line.startswith(said) for line in ran.err.splitlines()), ran.err
        assert cli("export", *storage, "--out", f"{engine}.csv").code == 0
        frames.append([pd.read_csv(f"{engine}.{table}.csv") for table in ("trials", "curves")])
    (trials, curves), (on_dask, curves_on_dask) = frames
    assert trials.drop(columns=list(TIMES)).equals(on_dask.drop(columns=list(TIMES)))
    assert curves.equals(curves_on_dask)


@pytest.mark.parametrize("command", [("start", "tiny.toml"), ("confirm",)])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--scheduler", "tcp://127.0.0.1:1"), "with --engine pool: use --engine dask, or leave it out"),
        (("--engine", "inline", "--scheduler", "x.json"), "--scheduler x.json with --engine inline"),
        (("--engine", "dask", "--jobs", "2", "--scheduler", "tcp://127.0.0.1:1"), "leave out one of them"),
        (("--engine", "dask", "--scheduler", "x.json"), "no such file, and not an address; give tcp://HOST:PORT"),
        (("--engine", "dask", "--scheduler", "tcp://127.0.0.1:1"), "no Dask scheduler answers at tcp://127.0.0.1:1"),
    ],
)
def test_what_dask_cannot_do_is_one_line(
    cli: Cli, tiny: Path, command: tuple[str, ...], options: tuple[str, ...], words: str
) -> None:
    ran = cli(*command, *options)
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert words in ran.err
    assert not (tiny.parent / "studies").exists()


def test_the_scheduler_may_stand_in_the_environment(cli: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPSEARCH_SCHEDULER", "tcp://127.0.0.1:1")
    ran = cli("start", "tiny.toml", "--engine", "dask")
    assert ran.code == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in ran.err
    assert cli("start", "tiny.toml", "--engine", "inline").code == 0


def test_without_the_extra_it_is_said_what_to_install(cli: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("hpsearch.executors.dask.")]:
        monkeypatch.delitem(sys.modules, name)  # so that they are imported anew
    monkeypatch.setitem(sys.modules, "distributed", None)
    ran = cli("start", "tiny.toml", "--engine", "dask")
    assert ran.code == 2
    assert ran.err == "hpsearch: --engine dask needs Dask; pip install 'hpsearch[dask]'\n"
