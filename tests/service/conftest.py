"""A study database to serve."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny

from hpsearch.executors.base import InlineExecutor
from hpsearch.search.narrowing import narrow_stage
from hpsearch.search.runner import Runner
from hpsearch.search.stage import begin
from hpsearch.store import open_store


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database that `url` copies."""
    path = tmp_path_factory.mktemp("served") / "studies.db"
    store = open_store(str(path), create=True, write=True)
    stage, _ = begin(store, tiny.study(), tiny.split())
    Runner(store, stage, tiny.objective(), InlineExecutor(), until=5).run()
    narrow_stage(store, store.stages(), top=3)
    store.close()
    return path


@pytest.fixture
def url(studies: Path, tmp_path: Path) -> str:
    """A database with a finished stage 1 and an empty stage 2."""
    return f"sqlite:///{shutil.copy(studies, tmp_path)}"
