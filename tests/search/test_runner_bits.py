"""Same seed, same bits: whatever the executor, the lanes or an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from stored import values

from hpsearch.executors.base import Executor, InlineExecutor
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.records import Stage
from hpsearch.search.pruning import Plan
from hpsearch.search.runner import Runner
from hpsearch.seeds import stage_seed
from hpsearch.store import NewStage, Store, open_store

UNTIL = 10
SPACE = {
    **tiny.PLAIN["space"],
    # Up to rates that diverge, over two structures.
    "lr": {"low": 1e-3, "high": 1e20, "log": True},
    "hidden": {"choices": ["8", "4x2"]},
}
SECTIONS = {"network": {"hidden": None}, "space": SPACE}


def begin(store: Store) -> Stage:
    study = tiny.study(**SECTIONS)
    return store.create_stage(NewStage("tiny", 1, "maximize", stage_seed(3, 1), study.space, study.to_dict()))


@pytest.fixture(scope="module")
def pool() -> Iterator[PoolExecutor]:
    """Two workers, which one run after another may load its objective into."""
    made = PoolExecutor(2)
    yield made
    made.close(kill=True)


def run(
    folder: Path,
    executor: Callable[[], Executor],
    *,
    lanes: int | None,
    interrupted: bool = False,
    plan: Plan | None = None,
    until: int = UNTIL,
) -> dict[str, list[Any]]:
    store = open_store(str(folder / f"{len(list(folder.iterdir()))}.db"), create=True, write=True)
    stage = begin(store)
    objective = tiny.objective(seed=stage.seed, **SECTIONS)

    def stop_early() -> bool:
        return store.counts(stage).finished >= 4

    for stopping in [stop_early, lambda: False] if interrupted else [lambda: False]:
        used = executor()
        try:
            summary = Runner(
                store, stage, objective, used, until=until, lanes=lanes, stopping=stopping, plan=plan
            ).run()
        finally:
            if not isinstance(used, PoolExecutor):
                used.close(kill=True)
        assert summary.stopped is (stopping is stop_early)
    store.close()
    return values(store.url)


def test_executors_lanes_and_a_resume_make_no_difference(tmp_path: Path, pool: PoolExecutor, scheduler: str) -> None:
    expected = run(tmp_path, InlineExecutor, lanes=1)
    states = {state for _, state in expected["trials"]}
    assert states == {"COMPLETE", "FAIL"}
    assert len(expected["trials"]) == UNTIL
    assert run(tmp_path, InlineExecutor, lanes=3) == expected
    assert run(tmp_path, InlineExecutor, lanes=2, interrupted=True) == expected
    assert run(tmp_path, lambda: pool, lanes=None) == expected
    assert run(tmp_path, lambda: DaskExecutor(scheduler), lanes=2) == expected


@pytest.mark.parametrize("plan", [Plan("halving", 2, (1,), 16, 5, 3), Plan("median", 2, (1,), 8, 2, 3)])
def test_nor_do_they_where_trials_stop_early(tmp_path: Path, plan: Plan, pool: PoolExecutor, scheduler: str) -> None:
    def pruned(executor: Callable[[], Executor], lanes: int, **options: Any) -> dict[str, list[Any]]:
        return run(tmp_path, executor, lanes=lanes, until=24, plan=plan, **options)

    expected = pruned(InlineExecutor, 1)
    assert {state for _, state in expected["trials"]} == {"COMPLETE", "FAIL", "PRUNED"}
    assert pruned(InlineExecutor, 10) == expected
    assert pruned(InlineExecutor, 2, interrupted=True) == expected
    assert pruned(lambda: pool, 3) == expected
    assert pruned(lambda: DaskExecutor(scheduler), 3) == expected
    # Whoever ran to the end did so as if nobody had been stopped.
    whole = run(tmp_path, InlineExecutor, lanes=3, until=24)
    ends = {number for number, state in expected["trials"] if state != "PRUNED"}
    for table, rows in expected.items():
        kept = [row for row in rows if row[0] in ends]
        assert kept == [row for row in whole[table] if row[0] in ends], table
