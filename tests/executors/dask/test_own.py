"""What concerns workers of our own: they are started again, whatever Dask thinks of them, or the run ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import dask.config
import pytest
from batches import batch, begun, drain
from stub_objectives import Stub

from hpsearch.errors import EvaluationFailure
from hpsearch.executors.base import Done
from hpsearch.executors.dask.executor import DaskExecutor


@pytest.fixture
def own() -> Iterator[DaskExecutor]:
    """One worker."""
    made = DaskExecutor(jobs=1)
    yield made
    made.close(kill=True)


@pytest.mark.slow
def test_a_worker_that_dask_has_given_up_is_started_again(own: DaskExecutor, tmp_path: Path) -> None:
    own.load(Stub(tmp_path, waits={0}))
    own.submit(batch(0))
    killed = begun(own, tmp_path, 0)
    (tmp_path / "go-0").touch()
    # Dask asks after that time whether the worker is there again, and starts none in its place if it is not.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}):
        os.kill(killed, signal.SIGKILL)
        (event,) = [event for event in drain(own, back=1) if isinstance(event, Done)]
    assert event.outcomes[0].attributes["pid"] != killed


def test_workers_that_do_not_start_end_the_run(own: DaskExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.executors.dask.executor._START_S", 0.0)
    with pytest.raises(EvaluationFailure, match="none of 1 Dask workers has started in 0 s; try jobs=1"):
        own.wait(0.0)
