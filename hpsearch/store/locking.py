"""Holding a stage, and the clock that leases go by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, text

from hpsearch.errors import StageConflict
from hpsearch.space import space_to_dict
from hpsearch.store import tables as t
from hpsearch.store.leases import utc_now
from hpsearch.store.stages import RANGES
from hpsearch.store.statements import Statement, constant

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from hpsearch.records import Stage

_UTC_NOW = {
    "postgresql": "SELECT timezone('utc', clock_timestamp())",
    "mysql": "SELECT utc_timestamp(6)",
    "mariadb": "SELECT utc_timestamp(6)",
}


_RANGES = Statement(
    select(t.study_user_attributes.c.value_json)
    .join(t.studies)
    .where(
        t.studies.c.study_id == bindparam("study_id"),
        t.studies.c.study_name == bindparam("name"),
        t.study_user_attributes.c.key == constant(RANGES),
    ),
    "study_id",
    "name",
)


def lock_stage(connection: Connection, stage: Stage) -> None:
    """Hold a stage until the transaction ends: whoever writes to its trials does so one after the other.

    SQLite's one writer holds everything already. Optuna locks the same row when it numbers a trial.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(select(t.studies.c.study_id).where(t.studies.c.study_id == stage.study_id).with_for_update())


def database_now(connection: Connection) -> datetime:
    """The time that leases are measured by, UTC: a server's own clock, which all its clients share."""
    query = _UTC_NOW.get(connection.dialect.name)
    if query is None:
        return utc_now()
    now: datetime = connection.execute(text(query)).scalar_one()
    return now


class UnchangedStage:
    """Makes sure that a study is still the stage that the caller knows: narrowing again replaces an empty one.

    Args:
        stage: The stage as the caller knows it.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._known: str | None = None
        """The ranges as they stood in the database when they were found to be the stage's."""

    def check(self, connection: Connection) -> None:
        """Look.

        Raises:
            StageConflict: The study is gone, or has other ranges.
        """
        found = _RANGES.rows(connection, self._stage.study_id, self._stage.name)
        ranges = found[0][0] if found else None
        if ranges is not None and ranges == self._known:
            return
        if ranges is None or json.loads(ranges) != space_to_dict(self._stage.space):
            raise replaced(self._stage)
        self._known = ranges


def replaced(stage: Stage) -> StageConflict:
    """What to say when a stage is no longer what it was when the caller read it."""
    return StageConflict(f"{stage.name} was narrowed anew meanwhile; start again to run it with its new ranges")
