"""A PostgreSQL server of the tests' own, in a folder that is thrown away, on 127.0.0.1 and a socket in that folder.

It runs in the foreground as a child of this process, so that it can be stopped, killed and started again under the
same address, and ends with this process however that ends.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from bounded import until

from hpsearch.store import open_store, schema

SETTINGS = {
    "max_connections": "60",
    "timezone": "Asia/Kolkata",  # not UTC, and half an hour beside every other: what takes local times is seen
    "shared_buffers": "32MB",
    "autovacuum": "off",
}
FAST = {"fsync": "off", "full_page_writes": "off"}
EMPTIED = "".join(
    f"DELETE FROM {table.name};"
    for table in reversed(schema.metadata.sorted_tables)
    if table is not schema.alembic_version
)


def binaries() -> Path | None:
    """The folder of PostgreSQL's server programs: on the path, or where Debian keeps them; None where there is none."""
    on_path = shutil.which("initdb")
    if on_path is not None and shutil.which("postgres", path=(folder := Path(on_path).resolve().parent)):
        return folder
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(versions, key=lambda folder: float(folder.parent.name), default=None)


class Server:
    """A PostgreSQL server with an empty cluster; the user ``tests`` may do everything, without a password.

    Where it is not `durable` a commit reaches the kernel alone, before it is acknowledged: a killed server keeps it.
    """

    def __init__(self, programs: Path, *, durable: bool = False, **settings: str) -> None:
        self._programs = programs
        self._settings = SETTINGS | ({} if durable else FAST) | settings
        self.folder = Path(tempfile.mkdtemp(prefix="hpsearch-pg-"))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:  # the server refuses to be root
            self._as = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.folder, "postgres", "postgres")
        self._server: subprocess.Popen[bytes] | None = None
        self._names = map("made_{}".format, itertools.count())
        self._template: str | None = None
        self._shared: str | None = None
        options = ("--username=tests", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        command = [str(programs / "initdb"), *options, str(self.folder / "data")]
        try:
            subprocess.run(command, **self._as, cwd=self.folder, stdout=subprocess.DEVNULL, check=True)
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self, *, listen: str = "127.0.0.1") -> None:
        """Start it, under the same address as before, and wait until it takes connections."""
        assert self._server is None
        where = {"port": str(self.port), "listen_addresses": listen, "unix_socket_directories": str(self.folder)}
        options = [part for name, value in (self._settings | where).items() for part in ("-c", f"{name}={value}")]
        # Where the kernel can, it ends the server when this process is killed.
        setpriv = shutil.which("setpriv")
        bond = [setpriv, "--pdeathsig", "QUIT"] if setpriv and sys.platform == "linux" else []
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*bond, self._programs / "postgres", "-D", self.folder / "data", *options],
                **self._as,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop it
            )
        until(self._answers, what=f"PostgreSQL; see {self.folder}/log")

    def _answers(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, (self.folder / "log").read_text()
        try:
            psycopg.connect(self.dsn("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Shut it down as an administrator does: connections are ended (57P01), everything is written."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Shut it down as a crash does: connections are cut (57P02), and the next start recovers from the log."""
        self._end(signal.SIGQUIT)

    def _end(self, by: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(by)
            self._server.wait(60)
            self._server = None

    def close(self) -> None:
        """Shut it down and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, database: str) -> str:
        """A database of it as libpq takes it."""
        return f"postgresql://tests@127.0.0.1:{self.port}/{database}"

    def url(self, database: str) -> str:
        """A database of it as SQLAlchemy takes it."""
        return self.dsn(database).replace("postgresql", "postgresql+psycopg", 1)

    def run(self, statement: str, *values: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement outside of any transaction; its rows."""
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def empty(self, template: str = "template1") -> str:
        """The URL of a new database without any table, or of a copy of another one."""
        name = next(self._names)
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def database(self) -> str:
        """The URL of a new study database without studies: a copy of one that hpsearch made."""
        if self._template is None:
            url = self.empty()
            open_store(url, create=True).close()
            self._template = _name(url)
        return self.empty(self._template)

    def cleared(self) -> str:
        """The URL of an empty study database that is always the same one: to empty it costs a tenth of a new one.

        Who still was connected to it, from a test before, is disconnected.
        """
        if self._shared is None:
            self._shared = self.database()
            return self._shared
        self.cut(self._shared)
        name = _name(self._shared)
        sequences = self.run("SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'", database=name)
        restarted = "".join(f"ALTER SEQUENCE {sequence} RESTART;" for (sequence,) in sequences)
        self.run(f"BEGIN;{EMPTIED}{restarted}COMMIT", database=name)
        return self._shared

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.run(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")

    def cut(self, url: str) -> int:
        """End every connection to a database, as an administrator may; returns how many there were."""
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        return len(self.run(ended, _name(url)))

    def connections(self, url: str) -> int:
        """The number of connections to a database."""
        return len(self.run("SELECT pid FROM pg_stat_activity WHERE datname = %s", _name(url)))


def _name(url: str) -> str:
    return url.rpartition("/")[2]


@contextlib.contextmanager
def served(skip: Callable[[str], Any], **options: Any) -> Iterator[Server]:
    """A server for as long as the block lasts; ``skip`` is called with the reason where there is none to be had."""
    programs = binaries()
    if programs is None:
        skip("no PostgreSQL server binaries")
        raise AssertionError("a skip does not return")
    with contextlib.closing(Server(programs, **options)) as server:
        yield server
