"""What concerns Dask's workers: they die, come and go, have other versions; and the scheduler may be gone."""

from __future__ import annotations

import json
import os
import platform
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from batches import batch, begun, drain
from bounded import until
from clusters import cluster, worker
from faulty.hooks import environment, rounds
from stub_objectives import STEPS, Stub, value

from hpsearch import __version__
from hpsearch.errors import BadInput, EvaluationFailure
from hpsearch.executors.base import Done, Event, Progress
from hpsearch.executors.dask.cluster import address_of
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.executors.dask.worker import BLAS_VARIABLES


def points(events: list[Event]) -> list[tuple[int, int, float]]:
    reports = [report for event in events if isinstance(event, Progress) for report in event.reports]
    return [(report.number, report.step, report.value) for report in reports]


def test_batches_whose_workers_are_killed_come_back_once_as_if_nothing_had_been(
    dask: DaskExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both workers at once: with them goes the data."""
    notes: list[str] = []
    monkeypatch.setattr(dask, "_note", notes.append)
    dask.load(Stub(tmp_path, waits={0, 1}))
    events: list[Event] = []
    for key in (0, 1):
        dask.submit(batch(key))
    while len(points(events)) < 2:
        events += dask.wait(0.1)
    killed = [begun(dask, tmp_path, key) for key in (0, 1)]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    for key in (0, 1):
        (tmp_path / f"go-{key}").touch()
    events += drain(dask, back=2)
    done = [event for event in events if isinstance(event, Done)]
    assert sorted(event.batch.key for event in done) == [0, 1]
    for event in done:
        (outcome,) = event.outcomes
        assert outcome.intermediate == tuple(value(event.batch.key, step) for step in range(1, STEPS + 1))
        assert outcome.attributes["pid"] not in killed
    assert len({(number, step) for number, step, _ in points(events)}) == len(points(events))
    assert dask.free == dask.slots
    assert notes[0].endswith(" died; its batches go to others")
    assert sum("died" in note for note in notes) == 1  # nor of a thousand deaths


def test_without_the_scheduler_the_end_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.executors.dask.cluster.CONNECT_S", 3.0)
    with cluster(1) as made:
        executor = DaskExecutor(made.address)
        try:
            executor.load(Stub(tmp_path))
            made.process.kill()
            with pytest.raises(EvaluationFailure, match=f"the connection to the Dask scheduler {made.address} is lost"):
                drain(executor, [batch(0)], back=1)
        finally:
            executor.close()


def test_workers_that_come_and_go_are_counted(tmp_path: Path) -> None:
    notes: list[str] = []
    with cluster(0) as made:
        executor = DaskExecutor(made.address, note=notes.append)

        def are(threads: int) -> bool:
            executor.wait(0.05)
            return executor.slots == threads

        try:
            assert (executor.slots, executor.free) == (0, 0)
            assert notes == [
                f"the Dask scheduler {made.address} has no workers yet; trials begin when the first one comes"
            ]
            executor.load(Stub(tmp_path))
            # NumPy is loaded with as many BLAS threads as it likes: results would differ in their last bits.
            two = partial(environment, {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"})
            with worker(made.address, "--no-nanny", "--nthreads", "1", hooks=[two]):
                until(lambda: executor.wait(0.05) == [] and len(notes) == 2, what="a worker to be refused")
                assert "may use several BLAS threads" in notes[1]
                assert notes[1].endswith("It is given no work")
                one = partial(environment, dict.fromkeys(BLAS_VARIABLES, "1"))
                with worker(made.address, "--no-nanny", "--nthreads", "3", hooks=[one]):
                    until(lambda: are(3), what="three threads")
                    assert "--nthreads 1 is faster" in notes[2]
                    assert len([e for e in drain(executor, map(batch, range(6))) if isinstance(e, Done)]) == 6
                until(lambda: are(0), what="the worker to leave")
                # As of processors of two kinds; see `test_kernels_for_other_processors_round_differently`.
                for kind in ("one", "other"):
                    with worker(made.address, "--no-nanny", hooks=[one, partial(rounds, kind)]):
                        until(lambda: executor.wait(0.05) == [] and executor.slots > 0, what="a worker")
                    until(lambda: are(0), what="the worker to leave")
                assert sum("not the same to the bit" in note for note in notes) == 1
        finally:
            executor.close()


@pytest.mark.parametrize("what", ["hpsearch", "numpy", "Python"])
def test_a_worker_of_other_versions_is_refused_at_the_door(
    scheduler: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here this process is the odd one: the workers are what they are."""
    major, minor, _ = platform.python_version_tuple()
    there = {"hpsearch": __version__, "numpy": np.__version__, "Python": f"{major}.{minor}"}[what]
    match what:
        case "hpsearch":
            monkeypatch.setattr("hpsearch.executors.dask.worker.__version__", "0.1")
        case "numpy":
            monkeypatch.setattr(np, "__version__", "0.1")
        case _:
            monkeypatch.setattr(platform, "python_version_tuple", lambda: ("0", "1", "0"))
    with pytest.raises(
        BadInput, match=rf"the Dask worker tcp://127.0.0.1:\d+ has {what} {there}, and this process 0.1"
    ):
        DaskExecutor(scheduler)


def test_a_scheduler_is_named_by_its_address_or_its_file(tmp_path: Path) -> None:
    assert address_of("tcp://127.0.0.1:8786") == address_of("127.0.0.1:8786") == "tcp://127.0.0.1:8786"
    assert address_of("tls://[::1]:1") == "tls://[::1]:1"
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": "tcp://10.0.0.1:99"}))
    assert address_of(str(file)) == "tcp://10.0.0.1:99"
    file.write_text("{}")
    with pytest.raises(BadInput, match="not a scheduler file"):
        address_of(str(file))
    for wrong in ("", "nowhere", "tcp://host", "tcp://host:99999", "http://host:80", "host:port"):
        with pytest.raises(BadInput, match="no such file, and not an address"):
            address_of(wrong)


def test_where_nobody_listens_is_said_at_once() -> None:
    with pytest.raises(BadInput, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 \(Connection refused\)"):
        DaskExecutor("tcp://127.0.0.1:1")
