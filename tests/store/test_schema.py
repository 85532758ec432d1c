"""The tables that the store writes, held against those that the installed Optuna makes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from postgres import Server
from sqlalchemy import Enum, inspect

from hpsearch.store import schema


@pytest.fixture
def engine(file: Path) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    yield engine
    engine.dispose()


@pytest.mark.parametrize("name", list(schema.metadata.tables))
def test_declared_columns_and_keys_are_those_that_optuna_makes(engine: sqlalchemy.Engine, name: str) -> None:
    table, optunas = schema.metadata.tables[name], inspect(engine)

    def kind(column: sqlalchemy.types.TypeEngine[Any]) -> str:
        return column.compile(engine.dialect).upper().split("(")[0]

    declared = {column.name: kind(column.type) for column in table.columns}
    assert {column["name"]: kind(column["type"]) for column in optunas.get_columns(name)} == declared
    if name != "alembic_version":
        assert optunas.get_pk_constraint(name)["constrained_columns"] == [c.name for c in table.primary_key.columns]
    found = {(key["constrained_columns"][0], key["referred_table"]) for key in optunas.get_foreign_keys(name)}
    assert found == {(key.parent.name, key.column.table.name) for key in table.foreign_keys}


def test_no_table_is_left_out(engine: sqlalchemy.Engine) -> None:
    """A table that Optuna adds to a trial or a study would need rows from the store too."""
    found = set(inspect(engine).get_table_names()) - {"version_info"}
    assert found == set(schema.metadata.tables)


def dump(file: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def test_enums_have_the_labels_that_optuna_makes(postgres: Server, postgres_url: str) -> None:
    """A server knows them as types; SQLite stores labels as text."""
    query = "SELECT typname, enumlabel FROM pg_enum JOIN pg_type t ON t.oid = enumtypid ORDER BY enumsortorder"
    labels: dict[str, list[str]] = {}
    for name, label in postgres.run(query, database=postgres_url.rpartition("/")[2]):
        labels.setdefault(name, []).append(label)
    columns = [column for table in schema.metadata.sorted_tables for column in table.columns]
    declared = [column.type for column in columns if isinstance(column.type, Enum)]
    assert {enum.name: list(enum.enums) for enum in declared} == labels


@pytest.mark.parametrize("kept", [schema.KEPT_VERSION, "of another version"])
def test_a_new_file_is_what_optuna_makes(tmp_path: Path, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Table for table and row for row, from the copy that is kept and, with another version, by Optuna itself."""
    ours, optunas = tmp_path / "ours.db", tmp_path / "optunas.db"
    monkeypatch.setattr(schema, "KEPT_VERSION", kept)
    schema.create_sqlite(str(ours))
    schema.let_optuna_create(sqlalchemy.URL.create("sqlite", database=str(optunas)))
    assert dump(ours) == dump(optunas)
    storage = optuna.storages.RDBStorage(f"sqlite:///{ours}")
    assert storage.get_head_version() == storage.get_current_version() == schema.REVISION
    storage.engine.dispose()
