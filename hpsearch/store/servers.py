"""Connections to a database server: few, and none that hangs for ever on a peer that is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadStorage

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection

POOL_SIZE = 2
"""Connections that a process keeps: a runner needs one, and a second while it holds the lock of `exclusive`."""
_MORE = 3
"""Connections that it may have beside those for a moment."""
_RECYCLE_S = 1800
"""A connection older than this is replaced before it is used: firewalls forget those that are quiet."""
_OPTIONS = {
    "connect_timeout": "10",
    # A server, or the network on the way, may vanish without a word; the kernel's own patience is two hours.
    "keepalives_idle": "20",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "40000",
}
"""libpq's connection options (seconds; the last in ms). What a URL says goes before them."""
_SESSION = {
    # The other way round: what a machine held that vanished in the middle of a transaction, the server lets go.
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
    "idle_in_transaction_session_timeout": "60s",
    "application_name": "hpsearch",
    # A plan that was made once for all is the one of tables that were empty: a search fills them.
    "plan_cache_mode": "force_custom_plan",
}


def engine_settings(url: URL) -> dict[str, Any]:
    """What `sqlalchemy.create_engine` is given for a server's database."""
    settings: dict[str, Any] = {
        "pool_pre_ping": True,
        "pool_size": POOL_SIZE,
        "max_overflow": _MORE,
        "pool_recycle": _RECYCLE_S,
    }
    if is_libpq(url):
        # There is no hstore among Optuna's columns, and looking for it costs every first connection a query.
        settings["use_native_hstore"] = False
        settings["connect_args"] = {name: value for name, value in _OPTIONS.items() if name not in url.query}
    return settings


def is_libpq(url: URL) -> bool:
    """Whether a URL is of PostgreSQL through psycopg, whose options are libpq's."""
    return url.get_backend_name() == "postgresql" and url.get_driver_name() in ("psycopg", "psycopg2")


def configure_session(connection: DBAPIConnection, _: object) -> None:
    """Set a new connection's session up, in one statement."""
    cursor = connection.cursor()
    cursor.execute("SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items()))
    cursor.close()
    connection.commit()


def check_writable(connection: Connection, where: str) -> None:
    """Refuse a PostgreSQL database whose studies may only be read: a standby, or one of another user's.

    Raises:
        BadStorage: It is one.
    """
    if connection.dialect.name != "postgresql":
        return
    rights = ("INSERT", "UPDATE", "DELETE")
    asked = ", ".join(f"has_table_privilege('trials', '{right}')" for right in rights)
    read_only, *given = connection.exec_driver_sql(f"SELECT current_setting('transaction_read_only'), {asked}").one()
    if read_only == "on":
        raise BadStorage(f"the database {where} is read-only here; give the address of the server that may be written")
    missing = [right for right, is_given in zip(rights, given, strict=True) if not is_given]
    if missing:
        raise BadStorage(f"the user of {where} lacks {', '.join(missing)} on its tables; have its owner GRANT that")
