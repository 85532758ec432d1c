"""The command line, run in this process: exit code, standard output and standard error."""

from __future__ import annotations

from pathlib import Path

import past_trials
import pytest
from commands import TINY, Cli, Ran

from hpsearch.__main__ import main
from hpsearch.store import open_store


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Runs ``hpsearch ARGUMENTS`` in an empty folder. `--engine inline` spares it the start of processes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPSEARCH_STORAGE", raising=False)
    monkeypatch.delenv("HPSEARCH_DATA", raising=False)

    def run(*arguments: str) -> Ran:
        capfd.readouterr()
        code = main(list(arguments))
        printed = capfd.readouterr()
        return Ran(code, printed.out, printed.err)

    return run


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A study file whose trials take milliseconds."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture
def searched(cli: Cli, tiny: Path) -> Cli:
    """The command line in a folder where a stage of eight trials has run."""
    assert cli("start", str(tiny), "--engine", "inline").code == 0
    return cli


@pytest.fixture
def cli_old(cli: Cli) -> Cli:
    """The command line in a folder with the database ``old.db``, in which everything is that may travel."""
    store = open_store("old.db", create=True, write=True)
    past_trials.fill(store)
    store.close()
    return cli
