"""Settings for every test, and the one PostgreSQL server of those that ask for it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from hpsearch.executors.base import pin

# As in every process of hpsearch, and before anything loads NumPy: tests that run side by side have a core each.
pin()

from bounded import until  # noqa: E402
from clusters import cluster  # noqa: E402
from hypothesis import settings  # noqa: E402

if TYPE_CHECKING:
    from browser import Browser
    from postgres import Server

# A law is no slower to be true on a busy machine: no example is failed for its time.
settings.register_profile("hpsearch", deadline=None, print_blob=True)
settings.load_profile("hpsearch")

# What a shell begins in the background ignores Ctrl-C, and so do its children: what tests send would not be heard.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _heard() -> None:
    """What libraries do that configure logging with `fileConfig` (Alembic, for Optuna's migrations) is undone."""
    logging.getLogger("hpsearch").disabled = False


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server for the whole run. Tests that stop or kill one make their own (`postgres.served`)."""
    from postgres import served

    with served(pytest.skip) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Server) -> str:
    """A PostgreSQL database with Optuna's tables and without studies. The next test gets the same one, emptied."""
    return postgres.cleared()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A fresh study database, as bytes: making one takes tens of milliseconds, copying it nothing."""
    from hpsearch.store import open_store

    file = tmp_path_factory.mktemp("empty") / "made.db"
    open_store(str(file), create=True).close()
    return file.read_bytes()


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """The address of a Dask scheduler with two workers, which all tests share: its processes start once."""
    with cluster() as made:
        until(made.ready, what="the workers of Dask")
        yield made.address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium, which all tests share: each opens tabs of its own."""
    from browser import CHROMIUM, started

    for package in ("axe_core_python", "choreographer"):
        pytest.importorskip(package)
    if CHROMIUM is None:
        pytest.skip("no Chromium to open pages in")
    with started() as browser:
        yield browser
