"""What a repair does about each kind of damage: it removes, gives back and builds anew, and makes nothing up.

Each function runs inside one write transaction that its caller opens.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime, bindparam, text

from hpsearch.records import CURVES, HITS, REASON, SECONDS, VALIDATION_LOSS
from hpsearch.store import releases
from hpsearch.store import tables as t
from hpsearch.store.base import NOBODY, OWNER
from hpsearch.store.care import file_checks
from hpsearch.store.care.attributes import is_readable
from hpsearch.store.care.drawn import is_as_drawn
from hpsearch.store.care.rows import KEYS, TRIAL_TABLES, bad_point, bad_time
from hpsearch.store.leases import Owner, utc_now
from hpsearch.store.statements import CHUNK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from hpsearch.records import Stage
    from hpsearch.store.care.findings import Finding, Place

_RESULT = (CURVES, HITS, REASON, SECONDS, VALIDATION_LOSS)
"""The attributes that a result leaves, which the next one writes again."""
_OF_PARAMS = ("param", "distribution", "outside", "drawn", "range", "no-param")
ABANDONED = "a repair found nobody who ran it"
"""Why a repair gives a trial back."""
_BEFORE_OTHERS = ("renumber",)


def mend(connection: Connection, findings: Sequence[Finding], stages: Mapping[int, Stage]) -> None:
    """Mend what can be.

    Args:
        connection: A write transaction.
        findings: From a check of this very state.
        stages: The stages that can be run again, by their studies' keys.
    """
    # A number that is put right closes a gap, and makes another trial's results fit; the next round sees to the rest.
    first = [finding for finding in findings if finding.kind in _BEFORE_OTHERS] or findings
    again: set[Any] = set()
    for finding in first:
        if finding.mend is None:
            continue
        kind, _, table = finding.kind.partition(":")
        places = finding.places
        match kind:
            case "orphan" if table == "trials":
                drop_trials(connection, _keys(places))
            case "orphan":
                _delete(connection, table, KEYS[table], _keys(places))
            case "early-value":
                _delete(connection, "trial_values", KEYS["trial_values"], _keys(places))
            case "study-attribute":
                for of_table, row in _keys(places):
                    _delete(connection, of_table, KEYS[of_table], [row])
            case "time":
                _forget_times(connection, _keys(places))
            case "stuck":
                given_back = [trial_id for trial_id in _keys(places) if trial_id not in again]
                releases.release(connection, dict.fromkeys(given_back, ABANDONED), by=Owner.current())
            case "doubled":
                _drop_doubled(connection, places, stages)
            case "gap" | "lineage":
                _fill(connection, places, stages)
            case "renumber":
                for trial_id, number in _keys(places):
                    _run(
                        connection,
                        "UPDATE trials SET number = :n WHERE trial_id = :id",
                        [{"n": number, "id": trial_id}],
                    )
            case "index" | "no-index" | "revision":
                pass  # see `mend_file`
            case _:
                _again(connection, finding, stages)
                again.update(_keys(places))


def mend_file(connection: Connection, findings: Iterable[Finding]) -> None:
    """Indexes, which must be right before anything is looked up by them; and the schema's revision."""
    kinds = {finding.kind for finding in findings if finding.mend is not None}
    if "no-index" in kinds:
        for sql in file_checks.INDEXES.values():
            connection.execute(text(sql.replace("INDEX ", "INDEX IF NOT EXISTS ", 1)))
    if "index" in kinds:
        connection.execute(text("REINDEX"))
    if "revision" in kinds:
        connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": t.REVISION})


def drop_trials(connection: Connection, ids: Collection[int]) -> None:
    """Remove trials with all that belongs to them."""
    for table in TRIAL_TABLES:
        _delete(connection, table, "trial_id", ids)
    _delete(connection, "trials", "trial_id", ids)


def _keys(places: Sequence[Place]) -> list[Any]:
    return [place.key for place in places]


def _run(connection: Connection, sql: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(text(sql), list(rows))


def _delete(connection: Connection, table: str, column: str, keys: Iterable[Any]) -> None:
    _run(connection, f"DELETE FROM {table} WHERE {column} = :key", [{"key": key} for key in keys])


def _forget_times(connection: Connection, ids: Sequence[int]) -> None:
    for column in ("datetime_start", "datetime_complete"):
        _run(
            connection,
            f"UPDATE trials SET {column} = NULL WHERE trial_id = :id AND ({bad_time(column)})",
            [{"id": trial_id} for trial_id in ids],
        )


def _drop_doubled(connection: Connection, places: Sequence[Place], stages: Mapping[int, Stage]) -> None:
    """Remove one of two trials of one number: the one without a result, or whose values are not that number's."""
    for place in places:
        asked = text(
            "SELECT trial_id, state FROM trials WHERE study_id = :study AND number = :number ORDER BY trial_id"
        )
        rows = list(connection.execute(asked, {"study": place.study, "number": place.number}))
        states = {row[0]: row[1] for row in rows}
        others = [trial_id for trial_id in states if trial_id != place.key]
        if place.key not in states or not others:
            continue
        if states[place.key] in ("RUNNING", "WAITING"):
            drop_trials(connection, [place.key])
        elif states[others[0]] in ("RUNNING", "WAITING"):
            drop_trials(connection, others[:1])
        elif _params(connection, place.key) == _params(connection, others[0]):
            drop_trials(connection, [place.key])
        elif place.study is not None and place.study in stages:
            drop_trials(connection, _strangers(connection, stages[place.study], [others[0], place.key]))


def _params(connection: Connection, trial_id: int) -> dict[str, float]:
    asked = text("SELECT param_name, param_value FROM trial_params WHERE trial_id = :id")
    return {row[0]: row[1] for row in connection.execute(asked, {"id": trial_id})}


def _strangers(connection: Connection, stage: Stage, pair: Sequence[int]) -> list[int]:
    """That of two trials of one number which has not the values that the number gives; none where that is not sure."""
    fits = {trial_id: is_as_drawn(connection, stage, trial_id) for trial_id in pair}
    return [trial_id for trial_id in pair if fits[trial_id] is False] if True in fits.values() else []


def _fill(connection: Connection, places: Sequence[Place], stages: Mapping[int, Stage]) -> None:
    """Trials that wait, for numbers that no trial has."""
    rows = []
    for study in {place.study for place in places if place.study in stages}:
        asked = text("SELECT number FROM trials WHERE study_id = :study")
        there = {row[0] for row in connection.execute(asked, {"study": study})}
        numbers = {place.number for place in places if place.study == study and place.number is not None}
        rows += [{"number": number, "study": study} for number in sorted(numbers - there)]
    # The database gives the keys: a server's sequence would come to keys of our own in time, and give them again.
    _run(connection, "INSERT INTO trials (number, study_id, state) VALUES (:number, :study, 'WAITING')", rows)


def _again(connection: Connection, finding: Finding, stages: Mapping[int, Stage]) -> None:
    """Trials whose results cannot be trusted: they run again, or where nobody can run them, they failed."""
    study_of = {place.key: place.study for place in finding.places}  # a trial may have two such places
    ids = list(study_of)
    runnable = [trial_id for trial_id, study in study_of.items() if study in stages]
    others = [trial_id for trial_id, study in study_of.items() if study not in stages]
    for table in ("trial_values", "trial_heartbeats"):
        _delete(connection, table, "trial_id", ids)
    for table in ("trial_user_attributes", "trial_system_attributes"):
        _forget_unreadable(connection, table, ids)
    if finding.kind in _OF_PARAMS:
        _forget_params(connection, finding.kind, runnable, others)
    _wait(connection, runnable)
    _fail(connection, others, finding.what)


def _wait(connection: Connection, ids: Sequence[int]) -> None:
    _delete(connection, "trial_intermediate_values", "trial_id", ids)
    rows = [{"id": trial_id} for trial_id in ids]
    for key in _RESULT:
        _run(connection, f"DELETE FROM trial_user_attributes WHERE trial_id = :id AND key = '{key}'", rows)
    _run(
        connection,
        "UPDATE trials SET state = 'WAITING', datetime_start = NULL, datetime_complete = NULL WHERE trial_id = :id",
        rows,
    )
    _run(connection, f"DELETE FROM trial_system_attributes WHERE trial_id = :id AND key = '{OWNER}'", rows)
    _write(connection, "trial_system_attributes", [(trial_id, OWNER, NOBODY) for trial_id in ids])


def _fail(connection: Connection, ids: Sequence[int], what: str) -> None:
    rows = [{"id": trial_id, "now": utc_now()} for trial_id in ids]
    bad = bad_point("", sqlite=connection.dialect.name == "sqlite")
    _run(connection, f"DELETE FROM trial_intermediate_values WHERE trial_id = :id AND ({bad})", rows)
    if rows:
        ended = "UPDATE trials SET state = 'FAIL', datetime_complete = coalesce(datetime_complete, :now)"
        now = bindparam("now", type_=DateTime)
        connection.execute(text(f"{ended} WHERE trial_id = :id").bindparams(now), rows)
    _run(connection, f"DELETE FROM trial_user_attributes WHERE trial_id = :id AND key = '{REASON}'", rows)
    reason = json.dumps(f"damaged: {what} (hpsearch db repair)")
    _write(connection, "trial_user_attributes", [(trial_id, REASON, reason) for trial_id in ids])


def _write(connection: Connection, table: str, rows: Sequence[tuple[int, str, str]]) -> None:
    sql = f"INSERT INTO {table} (trial_id, key, value_json) VALUES (:id, :key, :said)"
    _run(connection, sql, [{"id": trial_id, "key": key, "said": said} for trial_id, key, said in rows])


def _forget_params(connection: Connection, kind: str, runnable: Sequence[int], others: Sequence[int]) -> None:
    # A claim draws them again, or takes those that somebody enqueued.
    _delete(connection, "trial_params", "trial_id", runnable)
    if kind in ("param", "distribution", "outside"):
        _delete(connection, "trial_params", "trial_id", others)


def _forget_unreadable(connection: Connection, table: str, ids: Sequence[int]) -> None:
    for some in _chunks(ids):
        asked = text(
            f"SELECT {KEYS[table]}, key, value_json FROM {table} WHERE trial_id IN ({', '.join(map(str, some))})"
        )
        bad = [row for row, key, said in connection.execute(asked) if not is_readable(key, said)]
        _delete(connection, table, KEYS[table], bad)


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), CHUNK):
        yield [int(trial_id) for trial_id in ids[start : start + CHUNK]]
