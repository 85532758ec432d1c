"""Work at one database in several processes that all begin at the same moment."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from bounded import LIMIT_S
from faulty.process import warm

MANY = 24  # so many trials are claimed by several processes, a few at a time
Go = Callable[[], object]  # returns when all processes are ready
_go: Go


def at_once(work: Callable[..., Any], many: int, *arguments: str) -> list[Any]:
    """Call ``work(go, *arguments)``, a function of a module of the tests', in so many processes."""
    with warm().Pool(many, _ready, (warm().Barrier(many),)) as pool:
        return pool.starmap_async(_work, [(work, *arguments)] * many, chunksize=1).get(LIMIT_S)


def _ready(barrier: Any) -> None:
    global _go
    _go = partial(barrier.wait, LIMIT_S)
    warnings.simplefilter("error")


def _work(work: Callable[..., Any], *arguments: str) -> Any:
    return work(_go, *arguments)


def create(go: Go, url: str) -> str:
    """Make a database where there is none, and a stage in it; the stage's search."""
    from hpsearch.space import Float
    from hpsearch.store import NewStage, open_store

    go()
    store = open_store(url, create=True, write=True)
    search = store.create_stage(NewStage(f"of-{os.getpid()}", 1, "maximize", 0, {"lr": Float(0.1, 1.0)}, {})).search
    store.close()
    return search


def claim(go: Go, url: str) -> list[tuple[int, dict[str, Any]]]:
    """Claim trials of the only stage until there are `MANY`; their numbers and parameters."""
    from hpsearch.store import Owner, open_store

    store = open_store(url, write=True)
    (stage,) = store.stages()
    me, mine = Owner.current(), []
    go()
    while trials := store.claim(stage, until=MANY, most=3, owner=me).trials:
        mine += [(trial.number, dict(trial.params)) for trial in trials]
    store.close()
    return mine


def open_service(go: Go, url: str) -> bool:
    """Open a service's database where there is none."""
    from hpsearch.service import jobs
    from hpsearch.service.database import open_service

    go()
    database = open_service(url)
    empty = jobs.Queue(database).jobs() == []
    database.close()
    return empty


def claim_jobs(go: Go, url: str) -> list[int]:
    """Claim jobs until there is none; their ids."""
    from hpsearch.service import jobs
    from hpsearch.service.database import open_service
    from hpsearch.store import Owner

    database = open_service(url)
    queue, mine = jobs.Queue(database), []
    go()
    while job := queue.claim(Owner.current(), at_once=1000):
        mine.append(job.id)
    database.close()
    return mine
