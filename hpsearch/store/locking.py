"""Holding a stage, and the clock that leases go by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, text

from hpsearch.errors import StageConflict
from hpsearch.store import tables as t
from hpsearch.store.leases import utc_now
from hpsearch.store.stages import DECISIVE, decisive
from hpsearch.store.statements import Statement, constant

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime
    from typing import Any

    from sqlalchemy.engine import Connection

    from hpsearch.records import Stage

_UTC_NOW = {
    "postgresql": "SELECT timezone('utc', clock_timestamp())",
    "mysql": "SELECT utc_timestamp(6)",
    "mariadb": "SELECT utc_timestamp(6)",
}


_DECISIVE = Statement(
    select(t.study_user_attributes.c.key, t.study_user_attributes.c.value_json)
    .join(t.studies)
    .where(
        t.studies.c.study_id == bindparam("study_id"),
        t.studies.c.study_name == bindparam("name"),
        t.study_user_attributes.c.key.in_(map(constant, DECISIVE)),
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


def lock_studies(connection: Connection, study_ids: Collection[int] | None = None) -> None:
    """Hold several studies at once, as `lock_stage` does one.

    Args:
        connection: A write transaction.
        study_ids: Their keys; None for all.
    """
    if connection.dialect.name != "sqlite":
        # In one order, so that two who do so cannot wait for each other.
        held = select(t.studies.c.study_id).order_by(t.studies.c.study_id).with_for_update()
        connection.execute(held if study_ids is None else held.where(t.studies.c.study_id.in_(study_ids))).all()


def database_now(connection: Connection) -> datetime:
    """The time that leases are measured by, UTC: a server's own clock, which all its clients share."""
    query = _UTC_NOW.get(connection.dialect.name)
    if query is None:
        return utc_now()
    now: datetime = connection.execute(text(query)).scalar_one()
    return now


class UnchangedStage:
    """Makes sure that a study is still the stage that the caller knows.

    Narrowing again replaces an empty one; and a stage that is begun anew after it was deleted may get the same id.

    Args:
        stage: The stage as the caller knows it.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._known: list[tuple[str, str]] | None = None
        """What its trials follow from, as it stood in the database when it was found to be the stage's."""

    def check(self, connection: Connection) -> None:
        """Look.

        Raises:
            StageConflict: The study is gone, or its trials follow from something else.
        """
        found = sorted(_DECISIVE.rows(connection, self._stage.study_id, self._stage.name))
        if self._known is not None and found == self._known:
            return
        if not is_same(self._stage, {key: json.loads(said) for key, said in found}):
            raise replaced(self._stage)
        self._known = [(key, said) for key, said in found]


def is_same(stage: Stage, attributes: Mapping[str, Any]) -> bool:
    """Whether the trials of the study that has these attributes are those of a stage."""
    return all((attributes.get(key) or type(value)()) == value for key, value in decisive(stage).items())


def replaced(stage: Stage) -> StageConflict:
    """What to say when a stage is no longer what it was when the caller read it."""
    return StageConflict(f"{stage.name} was narrowed or begun anew meanwhile; start again to run it as it is now")
