"""A check finds every kind of damage that is planted, names it, and finds nothing else. A repair leaves a sound
database, and every sound trial as it was to the bit.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import cared
import pytest
import tiny
from cared import PLANTS, Plant

from hpsearch.__main__ import main
from hpsearch.errors import BadStorage
from hpsearch.space import Float
from hpsearch.store import NewStage, Owner, open_store, releases
from hpsearch.store.care import mending, repairing
from hpsearch.store.care.checking import care_database, check
from hpsearch.store.care.findings import Checked, Finding, Place
from hpsearch.store.care.repairing import repair
from hpsearch.store.urls import parse_url

_TIMES = ("seconds",)


def _trials(file: Path) -> dict[tuple[str, int], tuple[str, ...]]:
    """Everything that lasts of every trial, by study and number."""
    found = cared.rows(file)
    names: dict[int, str] = {row[0]: row[1] for row in found["studies"]}
    key = {trial[0]: (names.get(trial[2], ""), trial[1]) for trial in found["trials"]}
    trials: dict[tuple[str, int], list[object]] = {key[trial[0]]: [trial[3]] for trial in found["trials"]}
    for table in ("trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes"):
        for row in found[table]:
            if row[1] in key and row[2] not in _TIMES:
                trials[key[row[1]]].append((table, *row[2:]))
    return {at: tuple(map(repr, [of[0], *sorted(of[1:], key=repr)])) for at, of in trials.items()}


@pytest.mark.parametrize("plant", PLANTS, ids=[f"{i}-{plant.kind}" for i, plant in enumerate(PLANTS)])
def test_damage_is_found_and_named_and_mended(tmp_path: Path, plant: Plant) -> None:
    file = cared.write(tmp_path)
    before = _trials(file)
    cared.run_sql(file, plant.sql)
    damaged = _trials(file)
    found = check(str(file))
    kinds = {finding.kind for finding in found.findings}
    assert plant.kind in kinds
    assert kinds <= {plant.kind, *plant.also}
    named = [finding for finding in found.findings if finding.kind == plant.kind]
    assert plant.study in {finding.study for finding in named}
    assert (named[0].mend is not None) is plant.mended
    left = found
    if found.mendable:
        done = repair(str(file), found)
        assert done.backup is not None
        assert _trials(done.backup) == damaged
        left = done.after
    assert left.sound is plant.mended, left.findings
    assert not left.mendable
    after = _trials(file)
    harmed = {at for at in before if damaged.get(at) != before[at]}
    for at, trial in before.items():
        if at not in harmed:
            assert after.get(at) in (trial, None if plant.kind == "table" else trial), at
    # Nothing is made up: what is there and was not before waits for its result.
    for at, trial in after.items():
        if trial not in (before.get(at), damaged.get(at)):
            assert trial[0] in ("'WAITING'", "'COMPLETE'", "'FAIL'")
            assert not any("trial_values" in part for part in trial[1:])


def test_what_runs_again_after_a_repair_comes_to_the_same(tmp_path: Path) -> None:
    file = cared.write(tmp_path)
    before = _trials(file)
    for plant in PLANTS:
        if plant.kind in ("no-value", "drawn", "gap", "score", "attribute"):
            of_number = {"no-value": 0, "drawn": 1, "gap": 2, "score": 3, "attribute": 4}[plant.kind]
            cared.run_sql(file, plant.sql.replace("number = 2", f"number = {of_number}"))
    repair(str(file), check(str(file)))
    study = tiny.write(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(f"start {study} --engine inline --storage {file} --stage 1".split()) == 0
    assert _trials(file) == before
    assert check(str(file)).sound


def test_a_result_under_another_trials_number_gets_its_own_back(tmp_path: Path) -> None:
    file = cared.write(tmp_path)
    before = _trials(file)
    cared.run_sql(file, f"UPDATE trials SET number = 2 WHERE trial_id = {cared.trial(3)}")
    assert repair(str(file), check(str(file))).after.sound
    assert _trials(file) == before


def test_a_second_repair_does_nothing(tmp_path: Path) -> None:
    file = cared.write(tmp_path)
    cared.run_sql(file, next(plant.sql for plant in PLANTS if plant.kind == "no-value"))
    repair(str(file), check(str(file)))
    before = file.read_bytes()
    done = repair(str(file), check(str(file)))
    assert done.backup is None
    assert file.read_bytes() == before


def test_what_a_living_runner_holds_is_not_repaired(tmp_path: Path) -> None:
    file = cared.write(tmp_path)
    cared.run_sql(file, next(plant.sql for plant in PLANTS if plant.kind == "no-value"))
    store = open_store(str(file), write=True)
    store.claim(store.stages("tiny")[0], until=9, most=1, owner=Owner.current())
    store.close()
    found = check(str(file))
    assert {finding.kind for finding in found.findings} == {"no-value"}
    with pytest.raises(BadStorage, match="stop it first"):
        repair(str(file), found)


def test_what_has_finished_since_the_check_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = cared.write(tmp_path)
    store = open_store(str(file), write=True)
    dead = replace(Owner.current(), pid=2**22 + 1)
    store.claim(store.stages("tiny")[0], until=7, most=1, owner=dead)  # a process that never was
    found = check(str(file))
    assert [(finding.kind, finding.trials) for finding in found.findings] == [("stuck", [6])]

    store.close()
    finished: list[dict[str, list[tuple[Any, ...]]]] = []

    def check_and_finish(storage: str, *, everyone: bool = False) -> Checked:
        seen = check(storage, everyone=everyone)
        if not finished:
            with contextlib.redirect_stdout(io.StringIO()):
                start = f"start {tiny.write(tmp_path)} --engine inline --stage 1 --trials 7 --storage {file}"
                assert main(start.split()) == 0
            finished.append(cared.rows(file))
        return seen

    monkeypatch.setattr(repairing, "check", check_and_finish)
    assert repair(str(file), found, backup=False).after.sound
    assert [cared.rows(file)] == finished


def test_only_running_trials_are_given_back(tmp_path: Path) -> None:
    file = cared.write(tmp_path)
    before = cared.rows(file)
    with care_database(parse_url(str(file)), write=True) as database, database.write() as connection:
        releases.release(connection, {row[0]: "gone" for row in before["trials"]}, by=Owner.current())
    after = cared.rows(file)
    running = {row[0] for row in before["trials"] if row[3] == "RUNNING"}
    for table in ("trial_intermediate_values", "trial_system_attributes"):
        for rows in (before, after):
            rows[table] = [row for row in rows[table] if row[1] not in running]
    assert before["trial_intermediate_values"] == after["trial_intermediate_values"]
    assert before["trial_system_attributes"] == after["trial_system_attributes"]


@pytest.mark.parametrize("kind", ["bulk", "postgresql"])
def test_a_number_that_is_filled_takes_no_key_of_those_to_come(url: str, me: Owner) -> None:
    store = open_store(url, write=True)
    study_file = tiny.study().to_dict()
    names = ("one", "two")
    stages = [
        store.create_stage(NewStage(name, 1, "maximize", 0, {"lr": Float(0.1, 1.0)}, study_file)) for name in names
    ]
    for until in (1, 2, 3):
        for stage in stages:
            store.claim(stage, until=until, most=1, owner=me)
    one, two = stages
    lost = store.standings(one, range(3), 1)[1]
    with care_database(parse_url(url), write=True) as database, database.write() as connection:
        (key,) = connection.exec_driver_sql(
            f"SELECT trial_id FROM trials WHERE study_id = {one.study_id} AND number = {lost.number}"
        ).one()
        mending.drop_trials(connection, [key])
        places = [Place(one.study_id, lost.number)]
        mending.mend(connection, [Finding("gap", "lost", places, "filled")], {one.study_id: one})
        mending.mend(connection, [Finding("lineage", "lost", places, "filled")], {one.study_id: one})
    assert [trial.number for trial in store.claim(two, until=6, most=3, owner=me).trials] == [3, 4, 5]
    assert store.drawn(one) == 3
    assert [trial.number for trial in store.claim(one, until=4, most=2, owner=me).trials] == [1, 3]
    assert store.drawn(one) == 4
    store.close()
