"""Clusters that adapt to the work they see: they grow as far as they may while there is some, and shrink after it."""

from __future__ import annotations

from pathlib import Path

import pytest
from batches import batch
from bounded import until
from clusters import adaptive
from stub_objectives import Stub

from hpsearch.executors.base import Done, Event, Progress
from hpsearch.executors.dask.executor import DaskExecutor


@pytest.mark.parametrize("least", [0, 1])
def test_a_cluster_grows_while_there_is_work_and_shrinks_without_a_loss(tmp_path: Path, least: int) -> None:
    batches = [batch(key) for key in range(12)]
    with adaptive(least, 3) as made:
        executor = DaskExecutor(made.scheduler_address)
        events: list[Event] = []
        waiting = list(batches)

        def are(slots: int) -> bool:
            executor.expect(len(waiting))
            while waiting and executor.free:
                executor.submit(waiting.pop())
            events.extend(executor.wait(0.05))
            return executor.slots == slots

        try:
            executor.load(Stub(tmp_path, waits=range(12)))
            until(lambda: are(3), what="as many workers as may be")
            for key in range(12):
                (tmp_path / f"go-{key}").touch()
            until(lambda: are(1) and not executor._submissions, what="the workers without the data to leave")
            executor.close()
            until(lambda: len(made.scheduler.workers) == least, what="the others to leave")
        finally:
            executor.close(kill=True)
    assert not waiting
    ends = [event for event in events if not isinstance(event, Progress)]
    assert all(isinstance(event, Done) for event in ends)
    assert sorted(event.batch.key for event in ends if isinstance(event, Done)) == list(range(12))
