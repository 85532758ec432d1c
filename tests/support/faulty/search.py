"""The search that faults happen to: 100 small networks, in some tenths of a second."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
import tiny
from sqlalchemy import select

from faulty.counting import Counting
from hpsearch.objectives.base import Objective
from hpsearch.objectives.network.objective import NetworkObjective
from hpsearch.records import SECONDS
from hpsearch.store import tables

TRIALS = 100
LANES = 4
"""Trials in a batch."""

Rows = dict[int, tuple[Any, ...]]
"""By trial number, all that two runs of a trial have in common: state, value, parameters, curve, attributes."""


def begun_in(log: Path) -> Counter[int]:
    """How often each trial was begun."""
    return Counter(map(int, log.read_text().split())) if log.exists() else Counter()


@dataclass(frozen=True)
class Found:
    """What a database holds of the search.

    Args:
        rows: Its trials.
        finished_at: When each finished trial ended, by number.
        repeated: How many rows are there more than once: trials of one number, or values of one trial.
        running: How many trials are RUNNING.
    """

    rows: Rows
    finished_at: dict[int, Any]
    repeated: int
    running: int


def read(url: str) -> Found:
    """Look into a database, past all of hpsearch's own code."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    trials = tables.trials.c
    of_trial: dict[int, dict[str, list[tuple[Any, ...]]]] = {}
    with engine.connect() as connection:
        found = connection.execute(
            select(trials.trial_id, trials.number, trials.state, trials.datetime_complete)
            .join(tables.studies)
            .where(tables.studies.c.study_name == "tiny/stage-01")
        ).all()
        for name, columns in (
            ("trial_values", ("value", "value_type")),
            ("trial_params", ("param_name", "param_value")),
            ("trial_intermediate_values", ("step", "intermediate_value", "intermediate_value_type")),
            ("trial_user_attributes", ("key", "value_json")),
        ):
            table = tables.metadata.tables[name]
            for trial_id, *cells in connection.execute(select(table.c.trial_id, *(table.c[one] for one in columns))):
                if cells[0] != SECONDS:
                    of_trial.setdefault(trial_id, {}).setdefault(name, []).append(tuple(map(_plain, cells)))
    engine.dispose()
    kinds = ("trial_values", "trial_params", "trial_intermediate_values", "trial_user_attributes")
    rows = {
        number: (state.name, *(tuple(sorted(of_trial.get(trial_id, {}).get(kind, []))) for kind in kinds))
        for trial_id, number, state, _ in found
    }
    values = [len(kept.get("trial_values", ())) for kept in of_trial.values()]
    return Found(
        rows,
        {number: when for _, number, _, when in found if when is not None},
        repeated=len(found) - len(rows) + sum(many > 1 for many in values),
        running=sum(state.name == "RUNNING" for _, _, state, _ in found),
    )


def _plain(cell: Any) -> Any:
    # Floats by their bits, and an enum by its label.
    return cell.hex() if isinstance(cell, float) else getattr(cell, "name", cell)


def counted(log: Path) -> None:
    """Have the objectives that commands make in this process count."""
    changed(lambda made: Counting(made, log))


def changed(wrapped: Callable[[NetworkObjective], Objective]) -> None:
    """Have the objectives that commands make in this process be others."""
    from hpsearch.objectives.network import runtime

    split, plain = tiny.split(), runtime.objective

    def make(*arguments: Any, **named: Any) -> Any:
        return wrapped(plain(*arguments, **named))

    runtime.objective = make
    # The data were read once, before the process was made.
    runtime.load = lambda sections, *, data_dir=None: split


def workers_of(parent: int) -> list[int]:
    """The worker processes that a process has started, whichever of its threads did."""
    found: list[int] = []
    for listed in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, listed.read_text().split())
    return sorted(pid for pid in found if _is_worker(pid))


def _is_worker(pid: int) -> bool:
    # Python starts a process of its own beside them, which counts semaphores.
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
