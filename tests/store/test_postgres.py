"""What only a server's database does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy
from postgres import Server
from sqlalchemy import bindparam, select

from hpsearch.errors import BadStorage, HpsearchError, StorageFailure
from hpsearch.store import NewStage, Owner, Store, exclusion, open_store, queries, retrying, servers, tables
from hpsearch.store.bulk import BulkStore
from hpsearch.store.statements import Statement


def test_a_database_is_made_and_emptied(postgres: Server, postgres_url: str, new_stage: NewStage) -> None:
    store = open_store(postgres_url, write=True)
    stage = store.create_stage(new_stage)
    assert store.stages() == [stage]
    store.close()
    assert postgres.connections(postgres_url) == 0
    again = open_store(postgres.cleared())
    assert again.stages() == []
    again.close()


def test_a_database_that_may_only_be_read_is_refused_to_who_writes(postgres: Server, postgres_url: str) -> None:
    open_store(f"{postgres_url}?options=-c%20default_transaction_read_only%3Don").close()
    with pytest.raises(BadStorage, match="is read-only here"):
        open_store(f"{postgres_url}?options=-c%20default_transaction_read_only%3Don", write=True)
    name = postgres_url.rpartition("/")[2]
    postgres.run("CREATE ROLE reader LOGIN", database=name)
    postgres.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", database=name)
    open_store(postgres_url.replace("tests@", "reader@")).close()
    with pytest.raises(BadStorage, match=r"lacks INSERT, UPDATE, DELETE on its tables"):
        open_store(postgres_url.replace("tests@", "reader@"), write=True)
    postgres.run("DROP OWNED BY reader; DROP ROLE reader", database=name)


def test_a_reader_sees_one_state(postgres_url: str, open_kind: Callable[..., Store], new_stage: NewStage) -> None:
    one, other = open_kind(postgres_url, "postgresql"), open_kind(postgres_url, "postgresql")
    assert isinstance(one, BulkStore)
    with one.database.read() as connection:
        assert queries.stages(connection) == []
        other.create_stage(new_stage)
        assert queries.stages(connection) == []
    assert len(one.stages()) == 1


def test_a_session_that_hangs_in_a_transaction_is_ended(postgres: Server, postgres_url: str) -> None:
    store = open_store(postgres_url)
    assert isinstance(store, BulkStore)
    with store.database.read() as connection:
        wanted = "SELECT current_setting('idle_in_transaction_session_timeout'), current_setting('application_name')"
        assert tuple(connection.exec_driver_sql(wanted).one()) == ("1min", "hpsearch")
    store.close()


def test_a_database_whose_making_was_cut_off_is_made_whole(postgres: Server, new_stage: NewStage) -> None:
    url = postgres.empty()
    engine = sqlalchemy.create_engine(url)
    made = [table for table in tables.metadata.sorted_tables if table is not tables.alembic_version]
    tables.metadata.create_all(engine, tables=made)
    engine.dispose()
    with pytest.raises(BadStorage, match="holds no studies"):
        open_store(url)
    store = open_store(url, create=True, write=True)
    assert store.stages() == []
    assert store.create_stage(new_stage).name == new_stage.name
    store.close()
    postgres.drop(url)


def test_a_server_that_is_lost_while_its_database_is_opened_is_waited_for(
    postgres: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there: the address is right, so this is no bad input."""
    waited, check = list[bool](), servers.check_writable

    def lost_at_first(connection: sqlalchemy.Connection, where: str) -> None:
        if not waited:
            postgres.kill()
        check(connection, where)

    def wait(_: object, until: float) -> bool:
        waited.append(True)
        if len(waited) == 2:  # one try finds nobody there
            postgres.start()
        return True

    monkeypatch.setattr(servers, "check_writable", lost_at_first)
    monkeypatch.setattr(retrying.Patience, "_wait", wait)
    store = open_store(postgres_url, write=True)
    assert store.stages() == []
    assert len(waited) == 2
    store.close()


def test_what_goes_as_an_array_comes_back_as_it_was(
    postgres_url: str, open_kind: Callable[..., Store], new_stage: NewStage, me: Owner
) -> None:
    """An array is a text of its own, with its own commas, quotes and word for nothing."""
    store = open_kind(postgres_url, "postgresql")
    assert isinstance(store, BulkStore)
    stage = store.create_stage(new_stage)
    (trial,) = store.claim(stage, until=1, most=1, owner=me).trials
    texts = ["", "{}", "NULL", "null", "a,b", '"', "\\", "'", "%s", "%(ids)s", "\N{HANGUL SYLLABLE HAN}\n", "x" * 9000]
    attributes = tables.trial_user_attributes
    write = Statement.insert(attributes, "trial_id", "key", "value_json")
    wanted = select(attributes.c.key, attributes.c.value_json).where(
        attributes.c.trial_id.in_(bindparam("ids", expanding=True))
    )
    with store.database.write() as connection:
        write.run(connection, [(trial.trial_id, f"k{i}", text) for i, text in enumerate(texts)])
        found = Statement(wanted, "ids").rows(connection, [trial.trial_id, 10**9])
    assert dict(found) == {f"k{i}": text for i, text in enumerate(texts)}
    with pytest.raises(HpsearchError, match="too long"), store.database.write() as connection:
        write.run(connection, [(trial.trial_id, "k" * 513, "")])  # refused, not cut


def test_a_lock_that_somebody_keeps_is_not_waited_for_for_ever(
    postgres_url: str, open_kind: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusion, "WAIT_S", 0.02)
    one, other = open_kind(postgres_url, "postgresql"), open_kind(postgres_url, "postgresql")
    assert isinstance(one, BulkStore)
    assert isinstance(other, BulkStore)
    refused = pytest.raises(StorageFailure, match="another hpsearch has held the lock of postgresql")
    with exclusion.exclusive(one.database), refused, exclusion.exclusive(other.database):
        pass
    with exclusion.exclusive(other.database):
        pass


def test_connections_are_few_and_do_not_hang_on_a_peer_that_is_gone(
    postgres_url: str, open_kind: Callable[..., Store]
) -> None:
    store = open_kind(postgres_url, "postgresql")
    assert isinstance(store, BulkStore)
    pool: Any = store.database.engine.pool
    assert (pool.size(), pool._max_overflow, pool._recycle, pool._pre_ping) == (2, 3, 1800, True)
    with store.database.read() as connection:
        driver: Any = connection.connection.driver_connection
        given = driver.info.get_parameters()
        assert given["connect_timeout"] == "10"
        # A peer that vanished is noticed within 20 + 4 x 5 s, or after 40 s in which it acknowledged nothing.
        kept = (given["keepalives_idle"], given["keepalives_interval"], given["keepalives_count"])
        assert (*kept, given["tcp_user_timeout"]) == ("20", "5", "4", "40000")
        asked = "SELECT current_setting('tcp_keepalives_idle'), current_setting('plan_cache_mode')"
        if "127.0.0.1" in postgres_url:  # a socket in a folder has no keepalives
            assert tuple(connection.exec_driver_sql(asked).one()) == ("20", "force_custom_plan")


@pytest.mark.parametrize(
    ("state", "may"), [("40001", True), ("40P01", True), ("57P01", True), ("08006", True), ("23505", False)]
)
def test_what_may_pass_when_it_is_tried_again(state: str, may: bool) -> None:
    """Transactions that crossed, servers that go away; not a row that is there twice."""
    original = psycopg.errors.lookup(state)("said the server")
    assert retrying.passes(sqlalchemy.exc.DBAPIError("SELECT 1", None, original)) is may


def test_pauses_grow_to_a_bound() -> None:
    pauses = [next_pause for next_pause, _ in zip(retrying._pauses(), range(12), strict=False)]
    assert all(0.05 * 2**i <= pause <= 0.1 * 2**i for i, pause in enumerate(pauses[:6]))
    assert all(4 <= pause <= 8 for pause in pauses[8:])
