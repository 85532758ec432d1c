"""A stage with as many trials as one likes, written through the store as a runner writes it."""

from __future__ import annotations

from pathlib import Path

from ours.filling import fill, new_stage

from hpsearch.store import open_store


def make_stage(path: Path, trials: int, values: int) -> None:
    """Make a database with a finished stage of the book's search.

    Args:
        path: Of the SQLite file; it is made.
        trials: How many.
        values: Intermediate values of each.
    """
    store = open_store(str(path), create=True, write=True)
    fill(store, new_stage(store), trials=trials, values=values, batch=1000)
    store.close()
