"""The loop over Dask: guilty trials fail alone, and when the scheduler dies nothing recorded is lost."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import tiny
from bounded import LIMIT_S
from clusters import adaptive, cluster
from stub_objectives import STEPS, Stub, value

from hpsearch.errors import EvaluationFailure
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.records import Stage
from hpsearch.search.runner import Runner, Tick
from hpsearch.search.workflow import Job, Listener, run
from hpsearch.store import Counts, Store, open_store


@pytest.mark.slow
def test_a_trial_that_kills_its_workers_fails_alone(store: Store, stage: Stage, tmp_path: Path, scheduler: str) -> None:
    executor = DaskExecutor(scheduler)
    try:
        summary = Runner(store, stage, Stub(tmp_path, kills={1}), executor, until=6, lanes=3).run()
    finally:
        executor.close()
    assert summary.counts == Counts(complete=5, failed=1)
    frame = store.trials(stage).set_index("number")
    assert frame["score"].dropna().to_dict() == {number: value(number, STEPS) for number in range(6) if number != 1}
    (reason,) = frame["reason"].dropna()
    assert re.fullmatch(r"its worker processes died \(tcp://127.0.0.1:\d+, tcp://127.0.0.1:\d+\)", reason)


def test_a_run_has_a_cluster_grow_from_nothing(store: Store, stage: Stage, tmp_path: Path) -> None:
    """No trial is claimed before there is a worker for it, and none ends before all workers are there."""
    end = time.monotonic() + LIMIT_S
    with adaptive(0, 3) as made:
        executor = DaskExecutor(made.scheduler_address)

        def stopping() -> bool:
            assert executor.slots or not store.counts(stage).running
            if executor.slots == 3:
                for number in range(8):
                    (tmp_path / f"go-{number}").touch()
            return time.monotonic() > end

        try:
            stub = Stub(tmp_path, waits=range(8))
            summary = Runner(store, stage, stub, executor, until=8, lanes=1, stopping=stopping).run()
        finally:
            executor.close()
    assert summary.counts == Counts(complete=8)


def test_when_the_scheduler_dies_the_next_start_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.executors.dask.cluster.CONNECT_S", 1.0)
    study, storage = str(tiny.write(tmp_path)), str(tmp_path / "studies.db")

    def counts() -> Counts:
        store = open_store(storage)
        try:
            return store.counts(store.stages()[0])
        finally:
            store.close()

    with cluster(1) as made:

        class Kills(Listener):
            def tick(self, tick: Tick) -> None:
                if tick.recorded:
                    made.process.kill()
                    made.process.join()

        job = Job(storage=storage, study=study, trials=9, engine="dask", scheduler=made.address, lanes=2)
        with pytest.raises(
            EvaluationFailure, match=r"Dask scheduler tcp://127.0.0.1:\d+ is lost; what was recorded stays"
        ):
            run(job, Kills())
    left = counts()
    assert 2 <= left.complete < 9
    assert left.running == 0
    run(Job(storage=storage, study=study, trials=9, engine="inline"))
    assert counts() == Counts(complete=9)
