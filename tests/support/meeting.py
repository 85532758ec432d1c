"""Work at one database in several processes that all begin at the same moment."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bounded import LIMIT_S
from faulty.process import warm

MANY = 24
"""So many trials are claimed by several processes, a few at a time."""
Go = Callable[[], object]
"""Says that this process is ready, and waits for the word."""


def at_once(work: Callable[..., Any], many: int, *arguments: str) -> list[Any]:
    """Call a function of a module of the tests' in several processes, each a copy of one that has loaded everything.

    Args:
        work: Is given what says `Go`, and the arguments; what it returns is returned.
        many: In how many processes.
        arguments: Of the function.
    """
    with tempfile.TemporaryDirectory() as folder:
        children = []
        for number in range(many):
            here, there = warm().Pipe()
            said = Path(folder) / str(number)
            child = warm().Process(target=_child, args=(there, said, work, arguments))
            child.start()
            there.close()
            children.append((child, here, said))
        try:
            for _, here, said in children:
                assert here.poll(LIMIT_S), "no process is ready"
                assert here.recv() == "ready", said.read_text()
            for _, here, _ in children:
                here.send("go")
            told = [here.recv() if here.poll(2 * LIMIT_S) else None for _, here, _ in children]
            for child, _, _ in children:
                child.join(LIMIT_S)
            assert [(child.exitcode, said.read_text()) for child, _, said in children] == [(0, "")] * many
        finally:
            for child, here, _ in children:
                child.kill()
                child.join()
                here.close()
    return told


def _child(connection: Connection, said: Path, work: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    errors = os.open(said, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(errors, 2)
    os.close(errors)
    warnings.simplefilter("error")

    def go() -> None:
        connection.send("ready")
        connection.recv()

    connection.send(work(go, *arguments))


def create(go: Go, url: str) -> str:
    """Make a database where there is none, and a stage in it; the stage's search."""
    from hpsearch.space import Float
    from hpsearch.store import NewStage, open_store

    go()
    store = open_store(url, create=True, write=True)
    found = store.create_stage(NewStage(f"of-{os.getpid()}", 1, "maximize", 0, {"lr": Float(0.1, 1.0)}, {})).search
    store.close()
    return found


def claim(go: Go, url: str, kind: str) -> list[tuple[int, dict[str, Any]]]:
    """Claim trials of the only stage until there are `MANY`; their numbers and parameters."""
    from hpsearch.store import Owner, open_store, tables

    if kind == "fallback":
        tables.REVISION = "another"
    store = open_store(url, write=True)
    (stage,) = store.stages()
    me, mine = Owner.current(), []
    go()
    while trials := store.claim(stage, until=MANY, most=3, owner=me).trials:
        mine += [(trial.number, dict(trial.params)) for trial in trials]
    store.close()
    return mine
