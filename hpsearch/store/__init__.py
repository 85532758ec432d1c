"""The store: stages, trials and curves in Optuna's own tables, on SQLite and PostgreSQL."""

from hpsearch.records import NewStage
from hpsearch.store.claims import Claimed, Counts
from hpsearch.store.leases import Owned, Owner
from hpsearch.store.queries import Columns
from hpsearch.store.store import Store, open_store, store_for_import

__all__ = ["Claimed", "Columns", "Counts", "NewStage", "Owned", "Owner", "Store", "open_store", "store_for_import"]
