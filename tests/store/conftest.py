"""What the store tests share: databases, both stores over them, stages and runners that are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

import optuna
import pytest
import sqlalchemy
from sqlalchemy import select

from hpsearch.records import Stage
from hpsearch.space import Categorical, Float, Int, Space
from hpsearch.store import NewStage, Owner, Store, leases, open_store, tables
from hpsearch.store.bulk import BulkStore
from hpsearch.store.fallback import FallbackStore
from hpsearch.store.leases import utc_now

Kind: TypeAlias = Literal["bulk", "postgresql", "fallback"]
Opener: TypeAlias = Callable[..., Store]

_SPACE: Space = {
    "lr": Float(1e-6, 1e-2, log=True),
    "batch_size": Int(20, 200, step=20),
    "activation": Categorical(("relu", "tanh", "sigmoid")),
}


@pytest.fixture
def file(tmp_path: Path, empty_database: bytes) -> Path:
    """A study database without studies."""
    path = tmp_path / "studies.db"
    path.write_bytes(empty_database)
    return path


@pytest.fixture
def open_kind(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    """Opens a database with the store of a kind, and closes it after the test.

    ``postgresql`` is the bulk store too, on a server.
    """
    opened: list[Store] = []

    def opener(storage: Path | str, kind: Kind = "bulk") -> Store:
        with monkeypatch.context() as patch:
            if kind == "fallback":
                patch.setattr(tables, "REVISION", "one that the bulk store knows and this database has not")
            store = open_store(str(storage), write=True)
        assert isinstance(store, FallbackStore if kind == "fallback" else BulkStore)
        opened.append(store)
        return store

    yield opener
    for store in opened:
        store.close()


@pytest.fixture(params=["bulk", "postgresql", "fallback"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Which store the contract is held against."""
    found: Kind = request.param
    return found


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: Kind) -> str:
    """The URL of a study database without studies, for a store of each kind."""
    made: str = request.getfixturevalue("postgres_url") if kind == "postgresql" else ""
    return made or f"sqlite:///{request.getfixturevalue('file')}"


@pytest.fixture
def another_url(request: pytest.FixtureRequest, kind: Kind, tmp_path: Path, empty_database: bytes) -> Callable[[], str]:
    """Makes study databases without studies, for a store of each kind; the one before is no more."""

    def make() -> str:
        if kind == "postgresql":
            emptied: str = request.getfixturevalue("postgres").cleared()
            return emptied
        for old in tmp_path.glob("another.db*"):
            old.unlink()
        (tmp_path / "another.db").write_bytes(empty_database)
        return f"sqlite:///{tmp_path}/another.db"

    return make


@pytest.fixture
def store(url: str, kind: Kind, open_kind: Opener) -> Store:
    """A store of each kind over an empty database."""
    return open_kind(url, kind)


@pytest.fixture(scope="session")
def new_stage() -> NewStage:
    """A stage to be made, with something in every field."""
    return NewStage(
        search="mnist",
        number=1,
        direction="maximize",
        seed=2**40 + 7,
        space=_SPACE,
        study_file={"name": "mnist", "trials": {"count": 100}, "network": {"hidden": [100, 100]}},
        parent=3,
        rule={"top": 5, "sentences": ["kept 10 %", "größer"]},
        trials_used=(4, 1, 77),
        fingerprint="ab12",
        versions={"numpy": "2.0"},
    )


@pytest.fixture
def stage(store: Store, new_stage: NewStage) -> Stage:
    """A stage without trials."""
    return store.create_stage(new_stage)


@pytest.fixture
def study(stage: Stage, url: str) -> optuna.Study:
    """The stage as anybody sees it who opens the database with Optuna."""
    return optuna.load_study(study_name=stage.name, storage=url)


@pytest.fixture
def me() -> Owner:
    """This process as a runner."""
    return Owner.current()


@pytest.fixture(scope="session")
def gone() -> Callable[[], Owner]:
    """Makes runners on this machine whose process is no more: no process has a number above the kernel's limit."""

    def make() -> Owner:
        limit = Path("/proc/sys/kernel/pid_max")
        return replace(Owner.current(), pid=int(limit.read_text()) + 1 if limit.exists() else 2**22 + 1)

    return make


@pytest.fixture
def age(url: str) -> Callable[[int, timedelta], None]:
    """Makes a trial's last heartbeat older, in either store's form."""

    def make_older(trial_id: int, by: timedelta) -> None:
        beat: datetime = utc_now() - by
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            table, attributes = tables.trial_heartbeats, tables.trial_system_attributes
            rows = connection.execute(table.update().where(table.c.trial_id == trial_id).values(heartbeat=beat))
            attribute = connection.execute(
                attributes.update()
                .where(attributes.c.trial_id == trial_id, attributes.c.key == "hpsearch:heartbeat")
                .values(value_json=f'"{beat.isoformat()}"')
            )
        engine.dispose()
        assert rows.rowcount + attribute.rowcount == 1

    return make_older


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets so many seconds pass by the clock that nobody sets."""
    passed: list[float] = []
    monkeypatch.setattr(leases, "steady_seconds", lambda: sum(passed))
    return passed.append


@pytest.fixture
def rows(url: str) -> Callable[[str], list[dict[str, Any]]]:
    """Reads a table, row by row, as Optuna declares it."""

    def read(table: str) -> list[dict[str, Any]]:
        declared = tables.metadata.tables[table]
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            found = [dict(row._mapping) for row in connection.execute(select(declared))]
        engine.dispose()
        return found

    return read
