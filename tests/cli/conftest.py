"""The command line, run in this process: exit code, standard output and standard error."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import past_trials
import pytest
from commands import DIVERGING, START, TINY, Cli, Made, Ran

from hpsearch.__main__ import main
from hpsearch.data import datasets
from hpsearch.store import open_store

_unpacked = cache(datasets._shipped)
"""The images that come with the package, which every command would unpack anew."""


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Runs ``hpsearch ARGUMENTS`` in an empty folder. `--engine inline` spares it the start of processes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPSEARCH_STORAGE", raising=False)
    monkeypatch.delenv("HPSEARCH_DATA", raising=False)
    monkeypatch.setattr(datasets, "_shipped", _unpacked)

    def run(arguments: Sequence[str]) -> Ran:
        capfd.readouterr()
        code = main(list(arguments))
        printed = capfd.readouterr()
        return Ran(code, printed.out, printed.err)

    return Cli(run)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A study file whose trials take milliseconds."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folders in which commands have run after one another over a study file: each made once, to be copied."""
    made: dict[tuple[str, ...], Path] = {}

    def folder(study: str, *commands: str) -> Path:
        if (study, *commands) not in made:
            path = tmp_path_factory.mktemp("made")
            if commands:
                shutil.copytree(folder(study, *commands[:-1]), path, dirs_exist_ok=True)
                with pytest.MonkeyPatch.context() as patch:
                    patch.chdir(path)
                    assert main(commands[-1].split()) == (study == DIVERGING), commands[-1]
            else:
                (path / "tiny.toml").write_text(study)
            made[study, *commands] = path
        return made[study, *commands]

    return folder


@pytest.fixture
def made(cli: Cli, tmp_path: Path, folders: Callable[..., Path]) -> Made:
    """Gives the command line in a folder where these commands have run over the study file ``tiny.toml``."""

    def copied(*commands: str, study: str = TINY) -> Cli:
        shutil.copytree(folders(study, *commands), tmp_path, dirs_exist_ok=True)
        return cli

    return copied


@pytest.fixture
def searched(made: Made) -> Cli:
    """The command line in a folder where a stage of eight trials has run."""
    return made(START)


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database that `cli_old` copies."""
    path = tmp_path_factory.mktemp("old") / "old.db"
    store = open_store(str(path), create=True, write=True)
    past_trials.fill(store)
    store.close()
    return path


@pytest.fixture(scope="session")
def exports(old: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all forms of the export ``r`` of that database, and as ``o`` of its first stage alone."""
    path = tmp_path_factory.mktemp("exports")
    for form in ("csv", "parquet", "json"):
        for name, options in (("r", []), ("o", ["--stage", "1"])):
            assert main(["export", "--out", str(path / f"{name}.{form}"), *options, "--storage", str(old)]) == 0
    return path


@pytest.fixture
def cli_exports(cli: Cli, exports: Path, old: Path, tmp_path: Path) -> Cli:
    """The command line in a folder with those exports, and with their database ``old.db``."""
    shutil.copytree(exports, tmp_path, dirs_exist_ok=True)
    shutil.copy(old, "old.db")
    return cli


@pytest.fixture
def cli_old(cli: Cli, old: Path) -> Cli:
    """The command line in a folder with the database ``old.db``, in which everything is that may travel."""
    shutil.copy(old, "old.db")
    return cli
