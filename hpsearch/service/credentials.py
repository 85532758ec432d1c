"""Tokens and sessions in the service's database: whose a secret is.

A token is made on the server's machine (``hpsearch token create``) and sent as ``Authorization: Bearer ...``; a browser
changes it for a session, whose secret is in a cookie. Secrets have 256 random bits, so that their SHA-256 is as hard to
turn back as they are to guess; the database has nothing else of them.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import Column, ForeignKey, Integer, String, Table, literal, null

from hpsearch.errors import BadInput
from hpsearch.records import Action
from hpsearch.service.database import METADATA, open_service, url_of
from hpsearch.service.roles import Role
from hpsearch.store.engine import Database, sqlite_file

TOKENS = Table(
    "tokens",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(8), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("created", Integer, nullable=False),  # seconds since 1970
)
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("hash", String(64), primary_key=True),
    # None: begun with the link that `hpsearch serve` printed. Who revokes a token ends its sessions.
    Column("token_id", Integer, ForeignKey(TOKENS.c.id, ondelete="CASCADE")),
    Column("ends", Integer, nullable=False),
)
_LENGTH = 32  # bytes of a secret
SESSION_S = 30 * 86400
_FAILURES, WINDOW_S = 30, 60  # wrong secrets of one client within so many seconds, after which none is looked at
_MOST_CLIENTS = 10_000  # whose failures are remembered


class UnknownSecret(BadInput):
    """Nobody's token, and no session's secret."""


class TooManyFailures(BadInput):
    """A client has sent so many wrong secrets that for a while no new one of its is looked at."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who has come in."""

    name: str
    role: Role


LOCAL = Identity("local", Role.ADMIN)  # who opened the link that `hpsearch serve` printed


@dataclass(frozen=True, slots=True)
class Token:
    """A token, without its secret."""

    name: str
    role: Role
    created: int


class Failures:
    """Counts what each client does within a window of time."""

    def __init__(self, most: int = _FAILURES) -> None:
        self._most = most
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()  # client: (begin of its window, count)
        self._lock = threading.Lock()

    def add(self, client: str) -> None:
        """Count one more of a client."""
        with self._lock:
            began, count = self._counts.pop(client, (0.0, 0))
            fresh = time.monotonic() - began > WINDOW_S
            self._counts[client] = (time.monotonic(), 1) if fresh else (began, count + 1)
            if len(self._counts) > _MOST_CLIENTS:
                self._counts.popitem(last=False)

    def too_many(self, client: str) -> bool:
        """Return whether a client has reached the limit in its window."""
        began, count = self._counts.get(client, (0.0, 0))
        return count >= self._most and time.monotonic() - began <= WINDOW_S


class Credentials:
    """The tokens and sessions of a service, in its database.

    Args:
        database: The service's own.
        code: The secret of a link that opens a session once. None: sessions that began with such a link do not count.
    """

    def __init__(self, database: Database, *, code: str | None = None) -> None:
        self._database = database
        self._code = None if code is None else _hash(code)
        self._local = code is not None
        self._lock = threading.Lock()
        self._failures = Failures()
        self._known: set[str] = set()  # hashes that were right: their owners are not kept out by another's failures

    def create(self, name: str, role: Role) -> str:
        """Make a token and return its secret, which is nowhere kept.

        Raises:
            BadInput: The name is empty, too long, or another token's.
        """
        if not 0 < len(name) <= 64 or not name.isprintable():
            raise BadInput(f"a token's name has 1 to 64 printable characters, not {name[:80]!r}")
        secret = f"hps_{secrets.token_urlsafe(_LENGTH)}"
        with self._database.write() as connection:
            if connection.execute(sqlalchemy.select(TOKENS.c.id).where(TOKENS.c.name == name)).first():
                raise BadInput(
                    f"there is a token of {name}; `{{}}` first, or give another name", _action("revoke", name)
                )
            row = {"name": name, "role": role.name.lower(), "hash": _hash(secret), "created": int(time.time())}
            connection.execute(TOKENS.insert().values(row))
        return secret

    def tokens(self) -> list[Token]:
        """Return all tokens, by name."""
        with self._database.read() as connection:
            rows = connection.execute(sqlalchemy.select(TOKENS).order_by(TOKENS.c.name)).all()
        return [Token(row.name, Role[row.role.upper()], row.created) for row in rows]

    def revoke(self, name: str) -> None:
        """Remove a token and end the sessions begun with it.

        Raises:
            BadInput: There is no such token.
        """
        with self._database.write() as connection:
            if not connection.execute(TOKENS.delete().where(TOKENS.c.name == name)).rowcount:
                raise BadInput(f"there is no token of {name}; `{{}}` shows all", _action("list"))

    def by_token(self, secret: str, client: str) -> Identity:
        """Return whose token a secret is.

        Args:
            secret: The token.
            client: Address of who sent it.

        Raises:
            UnknownSecret: It is nobody's.
            TooManyFailures: After too many of these from there.
        """
        query = sqlalchemy.select(TOKENS.c.name, TOKENS.c.role).where(TOKENS.c.hash == _hash(secret))
        return self._first(
            query, secret, client, "unknown token; `hpsearch token create NAME` on the server's machine makes one"
        )

    def by_session(self, secret: str, client: str) -> Identity:
        """Return whose session a secret is; raises as `by_token`."""
        known = TOKENS.c.id.is_not(None)
        valid = sqlalchemy.or_(SESSIONS.c.token_id.is_(None), known) if self._local else known
        query = (
            sqlalchemy.select(TOKENS.c.name, TOKENS.c.role)
            .select_from(SESSIONS.outerjoin(TOKENS))
            .where(SESSIONS.c.hash == _hash(secret), SESSIONS.c.ends > time.time(), valid)
        )
        return self._first(query, secret, client, "the session has ended; log in again")

    def _first(self, query: sqlalchemy.Select[Any], secret: str, client: str, otherwise: str) -> Identity:
        hashed = _hash(secret)
        if hashed not in self._known:
            self._let_try(client)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            self._known.discard(hashed)
            self._failures.add(client)
            raise UnknownSecret(otherwise)
        self._known.add(hashed)
        return LOCAL if row.name is None else Identity(row.name, Role[row.role.upper()])

    def _let_try(self, client: str) -> None:
        if self._failures.too_many(client):
            raise TooManyFailures("too many wrong tokens; wait a minute")

    def by_code(self, code: str, client: str) -> Identity:
        """Return who comes by the link of the server's start, which then is used up; raises as `by_token`."""
        self._let_try(client)
        with self._lock:
            if self._code is not None and secrets.compare_digest(_hash(code), self._code):
                self._code = None
                return LOCAL
        self._failures.add(client)
        raise UnknownSecret("this link has been used, or is of an earlier start")

    def begin(self, token: str | None) -> str:
        """Begin a session with a token that is right, or without one that of the printed link; return its secret."""
        secret = secrets.token_urlsafe(_LENGTH)
        row = [literal(_hash(secret)), TOKENS.c.id if token else null(), literal(int(time.time()) + SESSION_S)]
        query = sqlalchemy.select(*row)
        if token:  # a token that was revoked meanwhile gives no row, and no session
            query = query.where(TOKENS.c.hash == _hash(token))
        with self._database.write() as connection:
            connection.execute(SESSIONS.delete().where(SESSIONS.c.ends <= time.time()))
            connection.execute(SESSIONS.insert().from_select(["hash", "token_id", "ends"], query))
        return secret

    def end(self, secret: str) -> None:
        """End a session."""
        with self._database.write() as connection:
            connection.execute(SESSIONS.delete().where(SESSIONS.c.hash == _hash(secret)))


@contextmanager
def opened(storage: str, *, create: bool = True) -> Iterator[Credentials]:
    """Open the tokens of the service beside a study database.

    Args:
        storage: The study database.
        create: Make their database where it is missing.

    Raises:
        BadInput: It is missing, and is not to be made.
    """
    file = sqlite_file(url_of(storage))
    if not create and file is not None and not file.exists():
        raise BadInput(f"there is no {file}, which the first `{{}}` makes", Action("token create"))
    with closing(open_service(storage)) as database:
        yield Credentials(database)


def _action(kind: str, name: str | None = None) -> Action:
    return Action(f"token {kind}", {"name": name})


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="backslashreplace")).hexdigest()
