"""What a study database holds, past all of hpsearch's own code."""

from __future__ import annotations

import sqlite3
from typing import Any

import optuna


def values(url: str) -> dict[str, list[Any]]:
    """Everything that lasts of a database's trials, as it is stored."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        tables = {
            "trials": "SELECT number, state FROM trials ORDER BY 1",
            "params": "SELECT number, param_name, param_value FROM trials JOIN trial_params "
            "USING (trial_id) ORDER BY 1, 2",
            "scores": "SELECT number, value FROM trials JOIN trial_values USING (trial_id) ORDER BY 1",
            "curves": "SELECT number, step, intermediate_value FROM trials JOIN trial_intermediate_values "
            "USING (trial_id) ORDER BY 1, 2",
            "attributes": "SELECT number, key, value_json FROM trials JOIN trial_user_attributes USING (trial_id) "
            "WHERE key != 'seconds' ORDER BY 1, 2",
        }
        return {name: connection.execute(query).fetchall() for name, query in tables.items()}


def storage(url: str) -> optuna.storages.RDBStorage:
    """A database whose tables are there, for Optuna, which would look at them for 30 ms each time."""
    return optuna.storages.RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
