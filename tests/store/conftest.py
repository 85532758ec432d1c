"""Fixtures of the store's tests: databases of each kind, stages, and runners that are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import cared
import optuna
import pytest
from sqlalchemy import select
from stored import Opener, Rows, storage

from hpsearch.records import Stage
from hpsearch.space import Categorical, Float, Int, Space
from hpsearch.store import NewStage, Owner, Store, open_store, schema
from hpsearch.store.leases import utc_now

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
def sound(tmp_path: Path) -> Path:
    """A database with everything in it that a check looks at."""
    return cared.write(tmp_path)


@pytest.fixture
def opener() -> Iterator[Opener]:
    """Opens databases, and closes them after the test."""
    opened: list[Store] = []

    def open_(storage: Path | str) -> Store:
        opened.append(open_store(str(storage), write=True))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """The database that the contract is held against."""
    return str(request.param)


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: str) -> str:
    """The URL of a study database without studies, of each kind."""
    made: str = request.getfixturevalue("postgres_url") if kind == "postgresql" else ""
    return made or f"sqlite:///{request.getfixturevalue('file')}"


@pytest.fixture
def store(url: str, opener: Opener) -> Store:
    """A store over an empty database of each kind."""
    return opener(url)


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
    return optuna.load_study(study_name=stage.name, storage=storage(url))


@pytest.fixture
def me() -> Owner:
    """This process as a runner."""
    return Owner.current()


@pytest.fixture(scope="session")
def gone() -> Owner:
    """A runner on this machine whose process is no more: no process has a number above the kernel's limit."""
    limit = Path("/proc/sys/kernel/pid_max")
    return replace(Owner.current(), pid=int(limit.read_text()) + 1 if limit.exists() else 2**22 + 1)


@pytest.fixture
def age(store: Store) -> Callable[[int, timedelta], None]:
    """Makes a trial's last heartbeat older."""

    def make_older(trial_id: int, by: timedelta) -> None:
        beats = schema.trial_heartbeats
        older = beats.update().where(beats.c.trial_id == trial_id).values(heartbeat=utc_now() - by)
        with store.database.write() as connection:
            assert connection.execute(older).rowcount == 1

    return make_older


@pytest.fixture
def rows(store: Store) -> Rows:
    """Reads a table, row by row, as Optuna declares it."""

    def read(table: str) -> list[dict[str, Any]]:
        with store.database.read() as connection:
            return [dict(row) for row in connection.execute(select(schema.metadata.tables[table])).mappings()]

    return read
