"""The store: stages, trials and curves in Optuna's own tables.

`open_store` gives a `Store`: the bulk one where the database has the schema revision that it knows, and one that
goes through Optuna's public API otherwise, slower and right.
"""

from hpsearch.records import NewStage
from hpsearch.store.base import Claimed, Counts, Store
from hpsearch.store.leases import Owner
from hpsearch.store.opening import open_store

__all__ = ["Claimed", "Counts", "NewStage", "Owner", "Store", "open_store"]
