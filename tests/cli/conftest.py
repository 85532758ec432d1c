"""The command line, run in this process: exit code, standard output and standard error."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import TINY, Cli, Ran

from hpsearch.__main__ import main


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
