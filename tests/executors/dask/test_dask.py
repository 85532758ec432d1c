"""Dask's workers: they die, come and go, have other versions; clusters grow; the scheduler may be gone."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import dask.config
import pytest
from batches import batch, begun, drain, under_way
from bounded import until
from clusters import adaptive, cluster, worker
from faulty.hooks import environment, rounds
from hypothesis import given
from hypothesis import strategies as st
from stub_objectives import STEPS, Stub, value

from hpsearch.errors import BadInput, EvaluationFailure
from hpsearch.executors.base import Done, Event, Lost, Progress
from hpsearch.executors.dask.cluster import address_of
from hpsearch.executors.dask.executor import DaskExecutor, Workers
from hpsearch.executors.dask.worker import BLAS_VARIABLES, versions


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
    with cluster(1) as made, closing(DaskExecutor(made.address)) as executor:
        executor.load(Stub(tmp_path))
        made.process.kill()
        with pytest.raises(EvaluationFailure, match=f"the connection to the Dask scheduler {made.address} is lost"):
            drain(executor, [batch(0)], back=1)


def test_workers_that_come_and_go_are_counted(tmp_path: Path) -> None:
    notes: list[str] = []
    with cluster(0) as made, closing(DaskExecutor(made.address, note=notes.append)) as executor:

        def are(threads: int) -> bool:
            executor.wait(0.05)
            return executor.slots == threads

        assert (executor.slots, executor.free) == (0, 0)
        assert notes == [f"the Dask scheduler {made.address} has no workers yet; trials begin when the first one comes"]
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
                assert "one thread each are faster" in notes[2]
                assert len([e for e in drain(executor, map(batch, range(6))) if isinstance(e, Done)]) == 6
            until(lambda: are(0), what="the worker to leave")
            # As of processors of two kinds; see `test_kernels_for_other_processors_round_differently`.
            for kind in ("one", "other"):
                with worker(made.address, "--no-nanny", hooks=[one, partial(rounds, kind)]):
                    until(lambda: executor.wait(0.05) == [] and executor.slots > 0, what="a worker")
                until(lambda: are(0), what="the worker to leave")
            assert sum("not the same to the bit" in note for note in notes) == 1


@pytest.mark.parametrize("what", ["hpsearch", "numpy", "Python"])
def test_a_worker_of_other_versions_is_refused_at_the_door(
    scheduler: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here this process is the odd one: the workers are what they are."""
    there = versions()
    monkeypatch.setattr("hpsearch.executors.dask.link.versions", lambda: there | {what: "0.1"})
    with pytest.raises(
        BadInput, match=rf"the Dask worker tcp://127.0.0.1:\d+ has {what} {there[what]}, and this process 0.1"
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


def test_only_one_of_the_batches_of_a_dead_process_is_at_the_next_one(tmp_path: Path) -> None:
    events: list[Event] = []
    with cluster(1, threads=2) as made, closing(DaskExecutor(made.address)) as executor:

        def have_begun(*not_in: int) -> set[int]:
            events.extend(executor.wait(0.05))
            files = tmp_path.glob("began-*")
            return {int(file.name.partition("-")[2]) for file in files if int(file.read_text()) not in not_in}

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
    (lost,) = [event for event in events if isinstance(event, Lost)]
    (done,) = [event for event in events if isinstance(event, Done)]
    assert lost.batch == batch(number)
    assert done.batch == batch(1 - number)
    assert lost.reason.startswith("its worker processes died (tcp://127.0.0.1:")


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


@pytest.fixture
def own() -> Iterator[DaskExecutor]:
    """One worker."""
    made = DaskExecutor(jobs=1)
    yield made
    made.close(kill=True)


@pytest.mark.slow
def test_a_worker_that_dask_has_given_up_is_started_again(own: DaskExecutor, tmp_path: Path) -> None:
    killed = under_way(own, tmp_path)
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


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.sampled_from("abc"), st.integers(1, 3)),
        st.tuples(st.just("leave"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("begin"), st.just(""), st.just(0)),
        st.tuples(st.just("alone"), st.just(""), st.just(0)),
        st.tuples(st.just("end"), st.just(""), st.integers(0, 5)),
    )
)


@given(ACTIONS)
def test_a_worker_never_has_more_than_its_threads_and_none_idles_unseen(steps: list[tuple[str, str, int]]) -> None:
    workers, threads, at, alone = Workers(), dict[str, int](), dict[str, str](), set[str]()
    emptied: str | None = None  # the worker that gets no more tasks until it has none
    for number, (what, address, count) in enumerate(steps):
        if what == "join":
            workers.add(address, count)
            threads.setdefault(address, count)
        elif what == "leave":
            assert workers.remove(address) == {task for task, where in at.items() if where == address}
            threads.pop(address, None)
            at = {task: where for task, where in at.items() if where != address}
            emptied = None if emptied == address else emptied
        elif what == "end" and at:
            task = list(at)[count % len(at)]
            workers.end(task, at.pop(task))
            workers.end(task, "gone")
        elif what == "alone":
            empty = [one for one in threads if one not in at.values()]
            if (found := workers.empty()) is not None:
                assert found in empty
                workers.begin_alone(str(number), found)
                at[str(number)] = found
                alone.add(str(number))
                emptied = None
            else:
                assert not empty
                shared = [one for one in threads if not any(at[task] == one for task in alone & set(at))]
                emptied = next((one for one in shared if workers.is_reserved(one)), None)
                assert (emptied is None) is (not shared)
        closed = {at[task] for task in alone & set(at)} | {emptied}
        room = {one for one, most in threads.items() if list(at.values()).count(one) < most} - closed
        found = workers.with_room()
        assert (found is None) is (not room)
        assert found is None or found in room
        if what == "begin" and found is not None:
            workers.begin(str(number), found)
            at[str(number)] = found
        assert all(list(at.values()).count(at[task]) == 1 for task in alone & set(at))
        assert workers.threads == sum(threads.values())
        assert set(workers) == set(threads)
        assert len(workers) == len(threads)
