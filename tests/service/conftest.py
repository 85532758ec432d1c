"""A study database to serve."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny

from hpsearch.executors import InlineExecutor
from hpsearch.search.next_stage import narrow_stage
from hpsearch.search.runner import Runner
from hpsearch.search.stage import begin
from hpsearch.store import open_store


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with a finished stage 1 and an empty stage 2."""
    store = open_store(str(tmp_path / "studies.db"), create=True, write=True)
    stage, _ = begin(store, tiny.study(), fingerprint=tiny.split().fingerprint)
    Runner(store, stage, tiny.objective(), InlineExecutor(), until=5).run()
    narrow_stage(store, store.stages(), top=3)
    store.close()
    return store.url
