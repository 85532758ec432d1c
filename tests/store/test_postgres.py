"""What only a server's database does: one state for readers, few connections, and going away in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
import sqlalchemy
from bounded import until
from postgres import Server
from sqlalchemy import event
from stored import Opener

from hpsearch.errors import BadStorage, HpsearchError, StorageFailure
from hpsearch.records import Completed, Failed, Report
from hpsearch.store import NewStage, Owner, Store, engine, open_store, queries, schema, writer
from hpsearch.store.engine import Database, passes, pauses
from hpsearch.store.schema import Query

When = Literal["before", "after"]


def test_a_database_that_may_only_be_read_is_refused_to_who_writes(postgres: Server, postgres_url: str) -> None:
    open_store(f"{postgres_url}?options=-c%20default_transaction_read_only%3Don").close()
    with pytest.raises(BadStorage, match="is read-only here"):
        open_store(f"{postgres_url}?options=-c%20default_transaction_read_only%3Don", write=True)
    name = postgres_url.rpartition("/")[2]
    postgres.run("CREATE ROLE reader LOGIN", database=name)
    postgres.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", database=name)
    open_store(postgres_url.replace("tests@", "reader@")).close()
    with pytest.raises(BadStorage, match="may not write to its tables"):
        open_store(postgres_url.replace("tests@", "reader@"), write=True)
    postgres.run("DROP OWNED BY reader; DROP ROLE reader", database=name)


def test_a_reader_sees_one_state(postgres_url: str, opener: Opener, new_stage: NewStage) -> None:
    one, other = opener(postgres_url), opener(postgres_url)
    with one.database.read() as connection:
        assert queries.stages(connection) == []
        other.create_stage(new_stage)
        assert queries.stages(connection) == []
    assert len(one.stages()) == 1


def test_a_database_whose_making_was_cut_off_is_made_whole(postgres: Server, new_stage: NewStage) -> None:
    url = postgres.empty()
    plain = sqlalchemy.create_engine(url)
    made = [table for table in schema.metadata.sorted_tables if table is not schema.alembic_version]
    schema.metadata.create_all(plain, tables=made)
    plain.dispose()
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
    waited, check = list[bool](), Database.check_writable

    def lost_at_first(database: Database) -> None:
        if not waited:
            postgres.kill()
        check(database)

    def wait(_: object, until: float) -> bool:
        waited.append(True)
        if len(waited) == 2:  # one try finds nobody there
            postgres.start()
        return True

    monkeypatch.setattr(Database, "check_writable", lost_at_first)
    monkeypatch.setattr(Database, "_wait", wait)
    store = open_store(postgres_url, write=True)
    assert store.stages() == []
    assert len(waited) == 2
    store.close()


@pytest.mark.parametrize(
    ("state", "may"), [("40001", True), ("40P01", True), ("57P01", True), ("08006", True), ("23505", False)]
)
def test_what_may_pass_when_it_is_tried_again(state: str, may: bool) -> None:
    """Transactions that crossed, servers that go away; not a row that is there twice."""
    original = psycopg.errors.lookup(state)("said the server")
    assert passes(sqlalchemy.exc.DBAPIError("SELECT 1", None, original)) is may


def test_what_goes_as_an_array_comes_back_as_it_was(
    postgres_url: str, opener: Opener, new_stage: NewStage, me: Owner
) -> None:
    """An array is a text of its own, with its own commas, quotes and word for nothing."""
    store = opener(postgres_url)
    stage = store.create_stage(new_stage)
    (trial,) = store.claim(stage, until=1, most=1, owner=me).trials
    texts = ["", "{}", "NULL", "null", "a,b", '"', "\\", "'", "%s", "%(ids)s", "\N{HANGUL SYLLABLE HAN}\n", "x" * 9000]
    rows = [(trial.trial_id, f"k{i}", text) for i, text in enumerate(texts)]
    query = Query("SELECT key, value_json FROM trial_user_attributes WHERE trial_id {ids}")
    with store.database.write() as connection:
        writer.ATTRIBUTES.run(connection, rows)
        assert query.rows(connection, [trial.trial_id, 10**9]) == [row[1:] for row in rows]
        assert query.rows(connection, []) == []
    with pytest.raises(HpsearchError, match="too long"), store.database.write() as connection:
        writer.ATTRIBUTES.run(connection, [(trial.trial_id, "k" * 513, "")])  # refused, not cut


def test_a_lock_that_somebody_keeps_is_not_waited_for_for_ever(
    postgres_url: str, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOCK_WAIT_S", 0.02)
    one, other = opener(postgres_url).database, opener(postgres_url).database
    refused = pytest.raises(StorageFailure, match="lock timeout")
    with one.exclusive(), refused, other.exclusive():
        pass
    with other.exclusive():
        pass


def test_connections_are_few_and_do_not_hang_on_a_peer_that_is_gone(
    postgres: Server, postgres_url: str, opener: Opener
) -> None:
    store = opener(postgres_url)
    with store.database.read() as connection:
        driver: Any = connection.connection.driver_connection
        # A peer that vanished is noticed within 20 + 4 x 5 s, or after 40 s in which it acknowledged nothing.
        kept = {"keepalives_idle": "20", "keepalives_interval": "5", "keepalives_count": "4"}
        assert driver.info.get_parameters().items() >= {**kept, "tcp_user_timeout": "40000"}.items()
        names = ("tcp_keepalives_idle", "plan_cache_mode", "idle_in_transaction_session_timeout")
        query = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
        assert tuple(connection.exec_driver_sql(query).one()) == ("20", "force_custom_plan", "1min")
    store.close()
    until(lambda: postgres.connections(postgres_url) == 0, what="the server's end of the connections")


def test_pauses_grow_to_a_bound() -> None:
    first = [pause for pause, _ in zip(pauses(), range(12), strict=False)]
    assert all(0.05 * 2**i <= pause <= 0.1 * 2**i for i, pause in enumerate(first[:6]))
    assert all(4 <= pause <= 8 for pause in first[8:])


@pytest.fixture
def remote(postgres_url: str, opener: Opener, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store on a server, that does not pause long."""
    monkeypatch.setattr(engine, "_FIRST_PAUSE_S", 0.001)
    return opener(postgres_url)


@contextmanager
def commits_lost(store: Store, postgres: Server, when: When) -> Iterator[list[str]]:
    """Every other commit, beginning with the first, does not come back: just before the server hears of it, or after.

    Gives the notes that the user is shown.
    """
    lost, notes = [False], list[str]()

    def committing(connection: sqlalchemy.Connection) -> None:
        lost[0] = not lost[0]
        if not lost[0]:
            return
        if when == "after":
            driver: Any = connection.connection.driver_connection
            driver.commit()
            driver.execute("SELECT 1")  # so that there is something to commit, and the driver asks the server
        postgres.cut(store.url)

    store.on_disconnect(notes.append, stopping=lambda: False)
    event.listen(store.database.engine, "commit", committing)
    try:
        yield notes
    finally:
        event.remove(store.database.engine, "commit", committing)


def work(store: Store, new_stage: NewStage, me: Owner) -> list[Any]:
    """Everything that a runner and the commands write; what each call returned, as far as databases agree on it."""
    said: list[Any] = []
    store.create_stage(new_stage)
    stage = store.create_stage(replace(new_stage, seed=5), replace=True)
    claims = [store.claim(stage, until=9, most=most, owner=me) for most in (4, 3)]
    said += [[(trial.number, trial.params) for trial in one.trials] + [one.counts] for one in claims]
    ids = {trial.number: trial.trial_id for one in claims for trial in one.trials}
    store.report(stage, [Report(n, 1, n / 8) for n in ids], ids, owner=me)
    store.beat(stage, ids.values(), owner=me)
    said.append(store.record(stage, [Completed(0, 0.5, (0.25, 0.5), {"seconds": 2}), Failed(1, "no")], ids, owner=me))
    said.append(store.record(stage, [Completed(0, 0.75), Completed(2, 0.25)], ids, owner=me))
    said.append(store.release(stage, owner=me))
    again = store.claim(stage, until=9, most=2, owner=me)
    said.append([(trial.number, trial.params) for trial in again.trials])
    said.append(store.change_study_attribute(stage, "hpsearch:x", lambda before: (before or 0) + 1))
    said.append(store.change_study_attribute(stage, "hpsearch:x", lambda before: (before or 0) + 1))
    frame = store.trials(stage).drop(columns=["started", "finished"])
    said += [frame.to_csv(), store.curves(stage).to_csv(), store.counts(stage)]
    said += [[replace(one, study_id=0) for one in store.stages()], store.runners(stage)]
    return said


@pytest.mark.parametrize("when", ["before", "after"])
def test_lost_commits_change_nothing(
    remote: Store, postgres: Server, file: Path, opener: Opener, new_stage: NewStage, me: Owner, when: When
) -> None:
    expected = work(opener(file), new_stage, me)
    with commits_lost(remote, postgres, when) as notes:
        assert work(remote, new_stage, me) == expected
    (stage,) = remote.stages()
    assert remote.counts(stage).rows == 7  # no trial that nobody knows of
    assert notes
    assert all(note.endswith("; trying again for up to 60 s") and "\n" not in note for note in notes)


def test_what_was_claimed_unheard_and_then_taken_by_others_is_not_ours(
    remote: Store, postgres: Server, opener: Opener, new_stage: NewStage, me: Owner
) -> None:
    """The server is away for longer than the leases last."""
    stage = remote.create_stage(new_stage)
    other, they = opener(remote.url), replace(me, run="another run")

    def meanwhile(text: str) -> None:
        other.release(stage, owner=me)
        other.claim(stage, until=4, most=1, owner=they)

    with commits_lost(remote, postgres, "after"):
        remote.on_disconnect(meanwhile, stopping=lambda: False)
        claimed = remote.claim(stage, until=4, most=4, owner=me)
    assert [trial.number for trial in claimed.trials] == [1, 2, 3]
    assert remote.runners(stage) == {me: 3, they: 1}


def test_a_restart_is_survived_and_an_absence_ends(
    remote: Store, postgres: Server, new_stage: NewStage, me: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = remote.create_stage(new_stage)
    notes: list[str] = []

    def come_back(text: str) -> None:
        notes.append(text)
        postgres.start()

    remote.on_disconnect(come_back, stopping=lambda: False)
    for end in (postgres.stop, postgres.kill):
        end()
        assert len(remote.claim(stage, until=9, most=2, owner=me).trials) == 2
    assert len(notes) == 2

    monkeypatch.setattr(engine, "PATIENCE_S", 0.05)
    remote.on_disconnect(notes.append, stopping=lambda: False)
    postgres.stop()
    try:
        for _ in range(2):
            with pytest.raises(StorageFailure, match="start again once it does") as caught:
                remote.claim(stage, until=9, most=2, owner=me)
            assert "\n" not in str(caught.value)
        assert len(notes) == 3  # who gives up says so once
    finally:
        postgres.start()
    assert len(remote.claim(stage, until=9, most=9, owner=me).trials) == 5


def test_who_is_to_stop_does_not_wait(
    remote: Store, postgres: Server, new_stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = remote.create_stage(new_stage)
    monkeypatch.setattr(engine, "_FIRST_PAUSE_S", 1e6)
    remote.on_disconnect(lambda text: None, stopping=lambda: True)
    postgres.stop()
    try:
        with pytest.raises(StorageFailure):
            remote.counts(stage)
    finally:
        postgres.start()
