"""A worker process dies that evaluates several batches: which of them has killed it?"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from batches import batch, begun
from bounded import until
from clusters import cluster
from stub_objectives import Stub

from hpsearch.executors.base import Done, Event, Lost
from hpsearch.executors.dask.executor import DaskExecutor


def test_only_one_of_the_batches_of_a_dead_process_is_at_the_next_one(tmp_path: Path) -> None:
    events: list[Event] = []
    with cluster(1, threads=2) as made:
        executor = DaskExecutor(made.address)

        def have_begun(*not_in: int) -> set[int]:
            events.extend(executor.wait(0.05))
            files = tmp_path.glob("began-*")
            return {int(file.name.partition("-")[2]) for file in files if int(file.read_text()) not in not_in}

        try:
            executor.load(Stub(tmp_path, waits={0, 1}))
            until(lambda: executor.wait(0.05) == [] and executor.slots == 2, what="two threads")
            for key in (0, 1):
                executor.submit(batch(key))
            until(lambda: have_begun() == {0, 1}, what="both batches")
            dead: list[int] = []
            for _ in range(2):
                until(lambda: bool(have_begun(*dead)), what="a batch to begin")
                (number, *_) = have_begun(*dead)
                dead.append(begun(executor, tmp_path, number))
                os.kill(dead[-1], signal.SIGKILL)
            for key in (0, 1):
                (tmp_path / f"go-{key}").touch()
            until(lambda: bool(have_begun()) and sum(isinstance(e, Done | Lost) for e in events) == 2, what="both")
        finally:
            executor.close(kill=True)
    (lost,) = [event for event in events if isinstance(event, Lost)]
    (done,) = [event for event in events if isinstance(event, Done)]
    assert lost.batch == batch(number)
    assert done.batch == batch(1 - number)
    assert lost.reason.startswith("its worker processes died (tcp://127.0.0.1:")
