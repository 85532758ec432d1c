"""The search that faults happen to: small networks, a hundred in some tenths of a second."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import select
from tiny import split

from hpsearch.records import SECONDS
from hpsearch.store import schema as tables

split()  # reads the data here, once, before processes are copied
LANES = 4  # trials in a batch

Rows = dict[int, tuple[Any, ...]]
"""By trial number, all that two runs of a trial have in common: state, value, parameters, curve, attributes."""


def begun_in(log: Path) -> Counter[int]:
    """How often each trial was begun."""
    return Counter(map(int, log.read_text().split())) if log.exists() else Counter()


@dataclass(frozen=True)
class Found:
    """What a database holds of the search."""

    rows: Rows  # its trials
    finished_at: dict[int, Any]  # when each finished trial ended, by number
    repeated: int  # how many rows are there more than once: trials of one number, or values of one trial
    running: int  # how many trials are RUNNING


OF_TRIAL = {
    "trial_values": ("value", "value_type"),
    "trial_params": ("param_name", "param_value"),
    "trial_intermediate_values": ("step", "intermediate_value", "intermediate_value_type"),
    "trial_user_attributes": ("key", "value_json"),
}


def read(url: str) -> Found:
    """Read the search's only stage from a database, past all of hpsearch's own code."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    trials = tables.trials.c
    cells: defaultdict[tuple[int, str], list[tuple[Any, ...]]] = defaultdict(list)
    with engine.connect() as connection:
        found = connection.execute(
            select(trials.trial_id, trials.number, trials.state, trials.datetime_complete)
            .join(tables.studies)
            .where(tables.studies.c.study_name == "tiny/stage-01")
        ).all()
        for name, columns in OF_TRIAL.items():
            table = tables.metadata.tables[name]
            for trial_id, *row in connection.execute(select(table.c.trial_id, *(table.c[each] for each in columns))):
                if row[0] != SECONDS:
                    cells[trial_id, name].append(tuple(map(_plain, row)))
    engine.dispose()
    rows = {
        number: (state, *(tuple(sorted(cells[trial_id, name])) for name in OF_TRIAL))
        for trial_id, number, state, _ in found
    }
    values = [len(rows) for (_, name), rows in cells.items() if name == "trial_values"]
    return Found(
        rows,
        {number: when for _, number, _, when in found if when is not None},
        repeated=len(found) - len(rows) + sum(count > 1 for count in values),
        running=sum(state == "RUNNING" for _, _, state, _ in found),
    )


def _plain(cell: Any) -> Any:
    """Floats by their bits."""
    return cell.hex() if isinstance(cell, float) else cell


def workers_of(parent: int) -> list[int]:
    """The worker processes that a process has started, whichever of its threads did."""
    children: list[int] = []
    for listed in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # gone meanwhile
            children += map(int, listed.read_text().split())
    return sorted(filter(_is_worker, children))


def _is_worker(pid: int) -> bool:
    # Python starts a process of its own beside them, which counts semaphores.
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
