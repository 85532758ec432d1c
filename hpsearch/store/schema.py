"""A new SQLite database, with the tables as Optuna makes them.

Optuna owns the schema. Making it takes Optuna a third of a second, most of it spent on loading what migrates old
databases, which a new one does not need. So what it makes is kept beside this module, for the version that made it;
with any other version installed, Optuna makes the tables itself.
"""

from __future__ import annotations

import contextlib
import sqlite3
from importlib import metadata
from pathlib import Path

from sqlalchemy.engine import URL

KEPT_VERSION = "5.0.0"
"""The version of Optuna whose empty database is kept."""
KEPT = Path(__file__).with_name(f"optuna-{KEPT_VERSION}.sql")


def create_sqlite(file: str) -> None:
    """Make the tables in an empty SQLite file that nobody else has open, and set it to write-ahead logging.

    Args:
        file: Its path.
    """
    kept = metadata.version("optuna") == KEPT_VERSION
    if not kept:
        let_optuna_create(URL.create("sqlite", database=file))
    with contextlib.closing(sqlite3.connect(file)) as connection:
        if kept:
            connection.executescript(KEPT.read_text(encoding="utf-8"))
        # WAL lets the dashboard read while a stage writes; the mode stays with the file.
        connection.execute("PRAGMA journal_mode=WAL")


def let_optuna_create(url: URL) -> None:
    """Have Optuna make the tables of an empty database, of whatever kind."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(url.render_as_string(hide_password=False))
    storage.engine.dispose()
