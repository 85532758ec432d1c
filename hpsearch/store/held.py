"""The trials that somebody holds, as whoever judges that (`hpsearch.store.leases`) needs them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, text

from hpsearch.store.base import OWNER
from hpsearch.store.leases import Owner
from hpsearch.store.statements import chunks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy.engine import Connection

# Times come as the driver gives them: what is damaged must not end the look.
_RUNNING = (
    "SELECT t.study_id, t.number, t.trial_id, o.value_json, h.heartbeat, t.datetime_start FROM trials t"
    f" LEFT JOIN trial_system_attributes o ON o.trial_id = t.trial_id AND o.key = '{OWNER}'"
    " LEFT JOIN trial_heartbeats h ON h.trial_id = t.trial_id WHERE t.state = 'RUNNING'"
)
_ALL, _OF_STUDY = text(_RUNNING), text(f"{_RUNNING} AND t.study_id = :study")
_AMONG = text(f"{_RUNNING} AND t.study_id = :study AND t.trial_id IN :ids").bindparams(bindparam("ids", expanding=True))


class Running(NamedTuple):
    """A trial that is under way.

    Args:
        study_id: Its study's key.
        number: Its number.
        trial_id: Its key.
        owner: The runner of hpsearch's that holds it; None for nobody, or for somebody else.
        beat: Its last heartbeat, UTC; None for none.
        began: When it began, UTC; likewise.
    """

    study_id: int
    number: int
    trial_id: int
    owner: Owner | None
    beat: datetime | None
    began: datetime | None


def running(connection: Connection, study_id: int | None = None) -> list[Running]:
    """The trials under way: every trial is looked at.

    Args:
        connection: A transaction.
        study_id: Of this study only; None for all.
    """
    return _read(connection.execute(_ALL) if study_id is None else connection.execute(_OF_STUDY, {"study": study_id}))


def running_among(connection: Connection, study_id: int, ids: Collection[int]) -> list[Running]:
    """The trials of a study under way among these, by id: only they are looked at."""
    found: list[Running] = []
    for some in chunks(sorted(ids)):
        found += _read(connection.execute(_AMONG, {"study": study_id, "ids": some}))
    return found


def _read(rows: Iterable[Any]) -> list[Running]:
    return [
        Running(study, number, trial_id, _owner(said), _moment(beat), _moment(began))
        for study, number, trial_id, said, beat, began in rows
    ]


def _owner(said: object) -> Owner | None:
    return Owner.from_json(said) if isinstance(said, str) else None


def _moment(said: Any) -> datetime | None:
    """A time as SQLite or a server gives it; None for what is none."""
    if said is None or isinstance(said, datetime):
        return said
    try:
        return datetime.fromisoformat(str(said)).replace(tzinfo=None)
    except ValueError:
        return None
