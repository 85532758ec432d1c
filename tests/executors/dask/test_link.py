"""What concerns the connection to a Dask scheduler: it breaks, falls silent, and carries the data once."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from batches import batch, drain, under_way
from bounded import LIMIT_S, until
from faulty.proxy import Proxy
from stub_objectives import Stub, Unreadable

from hpsearch.errors import BadInput, EvaluationFailure
from hpsearch.executors.base import Done, Lost, Progress
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.executors.dask.link import Link


def in_time(call: Callable[[], object]) -> None:
    """Call it, where it may be that it never returns."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    assert not thread.is_alive(), "it does not return"


def calls(owner: object, method: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """The arguments of every call of a method from now on."""
    made, plain = list[tuple[object, ...]](), getattr(owner, method)

    def also_here(*arguments: object) -> None:
        made.append(arguments)
        plain(*arguments)

    monkeypatch.setattr(owner, method, also_here)
    return made


@pytest.fixture
def proxy(scheduler: str) -> Iterator[Proxy]:
    """The way to the shared scheduler, which may be closed."""
    with Proxy(int(scheduler.rpartition(":")[2])) as made:
        yield made


@pytest.fixture
def behind(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaskExecutor]:
    """Its workers; a scheduler that is silent for three seconds is lost."""
    monkeypatch.setattr("hpsearch.executors.dask.executor.CONNECT_S", 2.0)
    made = DaskExecutor(f"tcp://127.0.0.1:{proxy.port}")

    def are_there() -> bool:
        made.wait(0.1)
        return made.slots > 0

    until(are_there, what="a Dask worker")
    yield made
    made.close(kill=True)


def test_a_lost_connection_is_mended_and_batches_come_back_once(
    dask: DaskExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped, notes = calls(dask._link, "_dropped", monkeypatch), list[str]()
    monkeypatch.setattr(dask, "_note", notes.append)
    under_way(dask, tmp_path)
    (task,) = dask._tasks
    monkeypatch.setattr("hpsearch.executors.dask.link._GLANCE_S", 1.0)  # a new connection is there long before
    client = dask._link._client
    client.loop.add_callback(client.scheduler_comm.comm.abort)
    events = []

    def is_mended() -> bool:
        events.extend(dask.wait(0.05))
        return bool(notes)

    until(is_mended, what="the connection to be mended")
    assert all(isinstance(event, Progress) for event in events)
    (tmp_path / "go-0").touch()
    (event,) = [event for event in drain(dask, back=1) if isinstance(event, Done)]
    assert event.batch == batch(0)
    # The one that was under way, and nothing else: not what would have gone out before the new connection was known.
    assert dropped == [(task,)]
    assert [re.sub(r"tcp://\S+", "ADDRESS", note) for note in notes] == [
        "the connection to the Dask scheduler ADDRESS was restored; batches start again"
    ]
    assert [type(event) for event in drain(dask, [batch(1)]) if not isinstance(event, Progress)] == [Done]


def test_a_silent_scheduler_ends_the_run_while_a_batch_is_under_way(
    behind: DaskExecutor, proxy: Proxy, tmp_path: Path
) -> None:
    under_way(behind, tmp_path)
    proxy.fall_silent()
    (tmp_path / "go-0").touch()
    with pytest.raises(EvaluationFailure, match=r"the connection to the Dask scheduler tcp://\S+ is lost"):
        drain(behind, back=1)
    in_time(behind.close)


def test_a_silent_scheduler_ends_the_run_while_the_data_are_sent(
    behind: DaskExecutor, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.fall_silent()
    in_time(lambda: behind.load(Stub(tmp_path)))
    with pytest.raises(EvaluationFailure, match=r"the connection to the Dask scheduler tcp://\S+ is lost"):
        drain(behind, [batch(0)])


def test_a_silence_that_ends_in_time_costs_nothing(
    behind: DaskExecutor, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mended = calls(behind, "reconnected", monkeypatch)
    under_way(behind, tmp_path)
    proxy.fall_silent()
    (tmp_path / "go-0").touch()
    assert not any(isinstance(event, Done | Lost) for event in behind.wait(0.1))
    proxy.mend()
    (event,) = [event for event in drain(behind, back=1) if not isinstance(event, Progress)]
    assert isinstance(event, Done)
    assert mended == []


def test_data_that_do_not_arrive_are_said_to_be_the_fault(
    dask: DaskExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.executors.dask.link._SEND_S", 0.0)
    monkeypatch.setattr("hpsearch.executors.dask.link._MOST_SENDINGS", 2)
    dask.load(Stub(tmp_path))
    with pytest.raises(EvaluationFailure, match="the data do not get to the Dask workers: TimeoutError"):
        drain(dask, [batch(0)])


def test_the_data_are_sent_once_for_all_batches(dask: DaskExecutor, tmp_path: Path) -> None:
    dask.load(Stub(tmp_path))
    drain(dask, map(batch, range(5)))
    client = dask._link._client
    events = [event for _, event in client.get_events(client.id)]
    assert [event["count"] for event in events if event.get("action") == "scatter"] == [1]


def test_a_watch_that_breaks_ends_the_run(dask: DaskExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> bool:
        raise RuntimeError("cannot look")

    monkeypatch.setattr(dask._link, "_look", broken)
    with pytest.raises(EvaluationFailure, match=r"is lost \(RuntimeError: cannot look\)"):
        drain(dask, back=1)


def test_a_worker_that_cannot_be_asked_is_refused(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("cannot ask")

    monkeypatch.setattr(Link, "_ask", broken)
    with pytest.raises(BadInput, match=r"cannot evaluate trials \(RuntimeError: cannot ask\)"):
        DaskExecutor(scheduler)


def test_an_objective_that_cannot_be_read_is_the_reason(dask: DaskExecutor, tmp_path: Path) -> None:
    """An error of the operating system, as a broken connection is one, too."""
    dask.load(Unreadable(tmp_path / "missing.npz"))
    (lost,) = drain(dask, [batch(0)])
    assert isinstance(lost, Lost)
    assert lost.reason.startswith("FileNotFoundError: ")
    assert "missing.npz" in lost.reason
