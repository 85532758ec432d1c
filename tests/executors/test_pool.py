"""What concerns processes: they die one by one, hear no Ctrl-C, use one BLAS thread and never outlive the runner."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from batches import batch, begun, drain, under_way
from bounded import LIMIT_S, until
from stub_objectives import Stub, Surroundings

from hpsearch.executors.base import VARIABLES, Done, Lost
from hpsearch.executors.pool import PoolExecutor

SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture
def others() -> set[object]:
    """Processes that were there before: the shared Dask cluster's."""
    return set(multiprocessing.active_children())


def done(events: object) -> Done:
    assert isinstance(events, list)
    (event,) = events
    assert isinstance(event, Done)
    return event


def test_a_killed_worker_costs_its_own_batch_and_is_replaced(pool: PoolExecutor, tmp_path: Path) -> None:
    pool.load(Stub(tmp_path, waits={0, 1}))
    for key in (0, 1):
        pool.submit(batch(key))
    killed, other = (begun(pool, tmp_path, key) for key in (0, 1))
    os.kill(killed, signal.SIGKILL)
    lost = drain(pool, back=1)[-1]
    assert lost == Lost(batch(0), "the worker process died (killed by signal 9)")
    assert pool.free == 1
    for key in (0, 1):
        (tmp_path / f"go-{key}").touch()
    pool.submit(batch(0))
    outcomes = {e.batch.key: e.outcomes[0] for e in drain(pool, back=2) if isinstance(e, Done)}
    assert outcomes[1].attributes["pid"] == other
    assert outcomes[0].attributes["pid"] not in (killed, other, os.getpid())


def test_a_worker_that_died_idle_is_noticed_at_the_next_batch(tmp_path: Path, others: set[object]) -> None:
    with closing(PoolExecutor(1)) as pool:
        pool.load(Stub(tmp_path))
        (worker,) = set(multiprocessing.active_children()) - others
        pid = worker.pid
        worker.kill()
        worker.join()
        pool.load(Stub(tmp_path, bonus=1.0))
        (lost,) = drain(pool, [batch(0)])
        assert isinstance(lost, Lost)
        assert "signal 9" in lost.reason
        outcome = done(drain(pool, [batch(0)])).outcomes[0]
        assert outcome.attributes["pid"] != pid


def test_workers_hear_no_ctrl_c(tmp_path: Path, others: set[object]) -> None:
    with closing(PoolExecutor(1)) as pool:
        (worker,) = set(multiprocessing.active_children()) - others
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGINT)  # at birth
        assert under_way(pool, tmp_path) == worker.pid
        os.kill(worker.pid, signal.SIGINT)
        (tmp_path / "go-0").touch()
        assert isinstance(drain(pool, back=1)[-1], Done)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_workers_have_one_blas_thread_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy is loaded in this process already, with as many threads as it liked: children are pinned all the same."""
    monkeypatch.delenv(VARIABLES[0], raising=False)
    # The last two are read where the ones before are not set.
    for name in (*VARIABLES[1:], "GOTO_NUM_THREADS", "OPENBLAS_DEFAULT_NUM_THREADS"):
        monkeypatch.setenv(name, "4")
    before = dict(os.environ)
    with closing(PoolExecutor(1)) as pool:
        assert dict(os.environ) == before
        pool.load(Surroundings())
        seen = done(drain(pool, [batch(0)])).outcomes[0].attributes
        assert seen["variables"] == dict.fromkeys(VARIABLES, "1")
        assert seen["threads"] == 1


def test_a_worker_loads_no_library_that_it_does_not_need() -> None:
    with closing(PoolExecutor(1, preload="hpsearch.objectives.network.objective")) as pool:
        pool.load(Surroundings())
        modules = done(drain(pool, [batch(0)])).outcomes[0].attributes["modules"]
        assert "numpy" in modules
        assert not {"optuna", "sqlalchemy", "pandas", "plotly", "pydantic", "click", "rich"} & set(modules)


@pytest.mark.parametrize("kill", [False, True])
def test_close_ends_busy_and_idle_workers(
    tmp_path: Path, kill: bool, others: set[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # With kill, nobody waits for a batch under way: the limit below would be far too long.
    monkeypatch.setattr("hpsearch.executors.pool._JOIN_S", LIMIT_S / 2 if kill else 0.1)
    pool = PoolExecutor(2)
    busy = under_way(pool, tmp_path)
    pids = [worker.pid for worker in set(multiprocessing.active_children()) - others]
    assert busy in pids
    pool.close(kill=kill)
    assert len(pids) == 2
    assert set(multiprocessing.active_children()) <= others
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("made", ["PoolExecutor(2)", "DaskExecutor(jobs=2)"])
def test_workers_end_when_their_runner_is_killed(tmp_path: Path, made: str) -> None:
    script = f"""
import sys
from pathlib import Path
from batches import batch
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.executors.pool import PoolExecutor
from stub_objectives import Stub
if __name__ == "__main__":
    executor = {made}
    executor.load(Stub(Path({str(tmp_path)!r}), waits={{0}}))
    executor.submit(batch(0))
    while True:
        executor.wait(60)
"""
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    runner = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until((tmp_path / "began-0").exists, what="trial 0 to begin")
    finally:
        runner.kill()
    # The workers have the same standard output: it ends with the last of them.
    printed, _ = runner.communicate(timeout=LIMIT_S)
    # Python's own word about the locks of a process that was killed, which it then removes.
    said = [line for line in printed.splitlines() if "resource_tracker" not in line and "warnings.warn" not in line]
    assert said == []
