"""What the tests of stages and runs share: study databases of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpsearch.records import Stage
from hpsearch.space import Float
from hpsearch.store import NewStage, Store, open_store


@pytest.fixture
def store(tmp_path: Path, empty_database: bytes) -> Iterator[Store]:
    file = tmp_path / "studies.db"
    file.write_bytes(empty_database)
    opened = open_store(str(file), write=True)
    yield opened
    opened.close()


@pytest.fixture
def stage(store: Store) -> Stage:
    """A first stage without trials, to be scored as an objective says."""
    space = {"lr": Float(1e-3, 1.0, log=True)}
    return store.create_stage(NewStage("stub", 1, "maximize", 7, space, {"name": "stub"}))


@pytest.fixture(scope="session")
def gone() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid
