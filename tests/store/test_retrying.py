"""A server that goes away in the middle of an operation: it is done in the end, and once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from postgres import Server

from hpsearch.errors import StorageFailure
from hpsearch.records import Completed, Failed, Report
from hpsearch.store import NewStage, Owner, Store, retrying
from hpsearch.store.bulk import BulkStore

Opener = Callable[..., Store]
When = Literal["before", "after"]


@pytest.fixture
def remote(postgres_url: str, open_kind: Opener, monkeypatch: pytest.MonkeyPatch) -> BulkStore:
    """A store on a server, that does not pause long."""
    monkeypatch.setattr(retrying, "_FIRST_PAUSE_S", 0.001)
    store = open_kind(postgres_url, "postgresql")
    assert isinstance(store, BulkStore)
    return store


@contextmanager
def commits_lost(store: BulkStore, postgres: Server, when: When) -> Iterator[list[str]]:
    """Every other commit, beginning with the first, does not come back: just before the server hears of it, or after.

    Gives the notes that the user is shown.
    """
    dialect: Any = store.database.engine.dialect
    commit, lost, notes = dialect.do_commit, [False], list[str]()

    def do_commit(connection: psycopg.Connection) -> None:
        lost[0] = not lost[0]
        if lost[0] and when == "before":
            postgres.cut(store.url)
        commit(connection)
        if lost[0] and when == "after":
            postgres.cut(store.url)
            connection.execute("SELECT 1")  # what the driver says then

    store.while_away(notes.append, stopping=lambda: False)
    dialect.do_commit = do_commit
    try:
        yield notes
    finally:
        dialect.do_commit = commit


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
    remote: BulkStore,
    postgres: Server,
    file: Path,
    open_kind: Opener,
    new_stage: NewStage,
    me: Owner,
    when: When,
) -> None:
    expected = work(open_kind(file), new_stage, me)
    with commits_lost(remote, postgres, when) as notes:
        assert work(remote, new_stage, me) == expected
    (stage,) = remote.stages()
    assert remote.counts(stage).rows == 7  # no trial that nobody knows of
    assert notes
    assert all(note.endswith("; trying again for up to 60 s") and "\n" not in note for note in notes)


def test_what_was_claimed_unheard_and_then_taken_by_others_is_not_ours(
    remote: BulkStore, postgres: Server, open_kind: Opener, new_stage: NewStage, me: Owner
) -> None:
    """The server is away for longer than the leases last."""
    stage = remote.create_stage(new_stage)
    other, they = open_kind(remote.url, "postgresql"), replace(me, run="another run")

    def meanwhile(text: str) -> None:
        other.release(stage, owner=me)
        other.claim(stage, until=4, most=1, owner=they)

    with commits_lost(remote, postgres, "after"):
        remote.while_away(meanwhile, stopping=lambda: False)
        claimed = remote.claim(stage, until=4, most=4, owner=me)
    assert [trial.number for trial in claimed.trials] == [1, 2, 3]
    assert remote.runners(stage) == {me: 3, they: 1}


def test_a_recorded_outcome_of_which_nobody_heard_is_not_somebody_elses(
    remote: BulkStore, postgres: Server, new_stage: NewStage, me: Owner
) -> None:
    stage = remote.create_stage(new_stage)
    ids = {trial.number: trial.trial_id for trial in remote.claim(stage, until=2, most=2, owner=me).trials}
    with commits_lost(remote, postgres, "after"):
        assert remote.record(stage, [Completed(0, 0.5)], ids, owner=me) == {0}
        # Without a doubt it is as ever: what is finished is left alone.
        assert remote.record(stage, [Completed(0, 0.75), Completed(1, 0.25)], ids, owner=me) == {1}
    assert remote.trials(stage)["score"].tolist() == [0.5, 0.25]


def test_a_restart_is_survived_and_an_absence_ends(
    remote: BulkStore, postgres: Server, new_stage: NewStage, me: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = remote.create_stage(new_stage)
    notes: list[str] = []

    def come_back(text: str) -> None:
        notes.append(text)
        postgres.start()

    remote.while_away(come_back, stopping=lambda: False)
    for end in (postgres.stop, postgres.kill):
        end()
        assert len(remote.claim(stage, until=9, most=2, owner=me).trials) == 2
    assert len(notes) == 2

    monkeypatch.setattr(retrying, "PATIENCE_S", 0.05)
    remote.while_away(notes.append, stopping=lambda: False)
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
    remote: BulkStore, postgres: Server, new_stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = remote.create_stage(new_stage)
    monkeypatch.setattr(retrying, "_FIRST_PAUSE_S", 1e6)
    remote.while_away(lambda text: None, stopping=lambda: True)
    postgres.stop()
    try:
        with pytest.raises(StorageFailure):
            remote.counts(stage)
    finally:
        postgres.start()
