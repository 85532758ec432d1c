"""Optuna's storage on a database in WAL mode with synchronous=NORMAL, as hpsearch's own is: its fastest SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy import event


def make(path: Path) -> None:
    """Make the schema, and leave the file in WAL mode."""
    optuna.storages.RDBStorage(f"sqlite:///{path}").engine.dispose()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def connect(path: Path) -> optuna.storages.RDBStorage:
    """Open what `make` made. Processes that write at the same time wait for each other."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})

    def relax(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(storage.engine, "connect", relax)
    storage.engine.dispose()  # connections from before the listener are gone
    return storage
