"""Deleting takes what was asked for, with what hangs on it, and nothing else."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cared
import pytest
from cared import CONFIRMED, FIRST, SECOND
from sqlalchemy.engine import make_url

from hpsearch.errors import BadStorage, StageConflict, UnknownSearch
from hpsearch.records import Completed
from hpsearch.store import NewStage, Owner, open_store
from hpsearch.store.maintenance import delete as deleting
from hpsearch.store.maintenance import repair as repairing
from hpsearch.store.maintenance.check import check
from hpsearch.store.maintenance.delete import delete, plan
from hpsearch.store.schema import EVALUATIONS

if TYPE_CHECKING:
    from postgres import Server


def _names(file: Path) -> set[str]:
    return {row[1] for row in cared.rows(file)["studies"]}


@pytest.mark.parametrize(
    ("asked", "goes"),
    [
        (SECOND, {SECOND}),
        (CONFIRMED, {CONFIRMED}),
        ("tiny", {FIRST, SECOND, CONFIRMED}),
        ("mine: größe", {"mine: größe"}),
    ],
)
def test_what_was_asked_for_goes_and_nothing_else(sound: Path, asked: str, goes: set[str]) -> None:
    before = cared.rows(sound)
    planned = plan(str(sound), asked)
    assert {study.name for study in planned.studies} == goes
    assert cared.rows(sound) == before
    delete(str(sound), planned)
    assert _names(sound) == {row[1] for row in before["studies"]} - goes
    assert check(str(sound)).sound
    gone = {row[0] for row in before["studies"] if row[1] in goes}
    trials = {row[0] for row in before["trials"] if row[2] in gone}
    after = cared.rows(sound)
    for table, rows in before.items():
        if table.startswith("trial_"):
            assert after[table] == [row for row in rows if row[1] not in trials]


def test_a_stage_that_others_came_of_goes_only_with_them(sound: Path) -> None:
    with pytest.raises(UnknownSearch, match="did you mean 'tiny/stage-01'"):
        plan(str(sound), "tiny/stage-1")
    with pytest.raises(StageConflict, match=f"{SECOND} was narrowed from {FIRST}.*with_descendants"):
        plan(str(sound), FIRST)
    planned = plan(str(sound), FIRST, descendants=True)
    assert [study.name for study in planned.studies] == [FIRST, SECOND, CONFIRMED]
    delete(str(sound), planned)
    assert not {name for name in _names(sound) if name.startswith("tiny")}


def test_evaluations_stay_known_while_the_search_lives(sound: Path) -> None:
    store = open_store(str(sound), write=True)
    first, second = store.stages("tiny")
    store.change_study_attribute(first, EVALUATIONS, lambda _: [{"stage": FIRST}])
    store.change_study_attribute(second, "hpsearch:parent", lambda _: None)
    store.close()
    planned = plan(str(sound), FIRST)
    assert (planned.evaluations, planned.evaluations_to) == (0, second.study_id)
    delete(str(sound), planned)
    (kept,) = (row[3] for row in cared.rows(sound)["study_user_attributes"] if row[2] == EVALUATIONS)
    assert json.loads(kept) == [{"stage": FIRST}]
    assert plan(str(sound), "tiny").evaluations == 1


def test_what_came_after_the_copy_is_not_deleted(sound: Path) -> None:
    """A new trial, a result of one that waited, or a study that belongs to it."""
    me = Owner.current()
    with contextlib.closing(open_store(str(sound), write=True)) as store:
        stage = store.stages("tiny")[0]
        (trial,) = store.claim(stage, until=7, most=1, owner=me).trials
        ids = {trial.number: trial.trial_id}
        planned = [plan(str(sound), SECOND)]
        store.release(stage, owner=me)
        planned += [plan(str(sound), "tiny")]
        store.claim(stage, until=7, most=1, owner=me)
        store.record(stage, [Completed(trial.number, 0.5, (0.5,), {})], ids, owner=me)
        (confirmation,) = store.confirmations("tiny")
        store.change_study_attribute(confirmation, "hpsearch:parent", lambda _: 2)
    cared.run_sql(sound, f"UPDATE studies SET study_name = 'tiny/confirm-02' WHERE study_name = '{CONFIRMED}'")
    before = cared.rows(sound)
    for deletion in planned:
        with pytest.raises(StageConflict, match="run the command again"):
            delete(str(sound), deletion)
    assert cared.rows(sound) == before


def test_on_a_server_nobody_claims_what_is_being_deleted_or_mended(
    postgres: Server, postgres_url: str, new_stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(postgres_url, write=True)
    store.create_stage(new_stage)
    store.create_stage(replace(new_stage, search="other"))
    store.close()
    database = make_url(postgres_url).database or ""
    abandoned = "INSERT INTO trials (number, study_id, state, datetime_start) VALUES (0, 1, 'RUNNING', '2020-01-01')"
    postgres.run(abandoned, database=database)
    free: list[list[tuple[int]]] = []

    def look(*_: object) -> None:
        asked = "SELECT study_id FROM studies ORDER BY study_id FOR UPDATE SKIP LOCKED"
        free.append(postgres.run(asked, database=database))

    for module in (deleting, repairing):
        monkeypatch.setattr(module, "refuse_live", look)
    repairing.repair(postgres_url, check(postgres_url), backup=False)
    delete(postgres_url, plan(postgres_url, "mnist"))
    # (The plan holds nothing: it looks so that nobody copies a database in vain.)
    assert free == [[], [(1,), (2,)], [(2,)]]


def test_a_runner_of_this_machine_works_whatever_its_heartbeat_says(sound: Path) -> None:
    store, me = open_store(str(sound), write=True), Owner.current()
    first = store.stages("tiny")[0]
    store.claim(first, until=7, most=1, owner=me)
    cared.run_sql(sound, "UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, '-3 days')")
    assert check(str(sound)).sound
    with pytest.raises(BadStorage, match="stop it first"):
        delete(str(sound), plan(str(sound), "tiny"))
    store.release(first, owner=me)
    store.claim(first, until=7, most=1, owner=replace(me, place="elsewhere"))
    with pytest.raises(BadStorage, match="stop it first"):
        delete(str(sound), plan(str(sound), "tiny"))
    cared.run_sql(sound, "UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, '-3 minutes')")
    assert check(str(sound)).sound
    delete(str(sound), plan(str(sound), "tiny"))
    store.close()
