"""Import: an export of ours, a foreign table or an Optuna study, as a search of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput, BadStudyFile, StageConflict
from hpsearch.exchange import archive, optuna_study, tables
from hpsearch.exchange.foreign import to_stage
from hpsearch.exchange.restore import restore
from hpsearch.records import NewStage, PastTrials
from hpsearch.study_file import check_name

if TYPE_CHECKING:
    from hpsearch.records import Direction, Stage
    from hpsearch.store import Store


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be imported.

    Args:
        source: A file, or an Optuna storage URL.
        name: The search's name; None for the one that it has.
        study_name: Of a storage: which study.
        metric: Of a table: the column of the score. Of a study: what its value is called.
        direction: Of a table: whether a higher or a lower score is better.
        parameters: Of a table: the columns of the hyperparameters.
        ranges: Of a table: their ranges, as ``NAME=LOW:HIGH:log`` or ``NAME=one,other``.
    """

    source: str
    name: str | None = None
    study_name: str | None = None
    metric: str | None = None
    direction: Direction | None = None
    parameters: Sequence[str] = ()
    ranges: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """What was read, to be written by `write`.

    Args:
        stages: The stages with their trials.
        notes: What to know of them.
    """

    stages: list[tuple[NewStage, PastTrials]]
    notes: tuple[str, ...] = ()


def read(asked: Asked) -> Read:
    """Read what is to be imported, all of it, before a database is touched.

    Raises:
        BadInput: It cannot be read, is damaged, or cannot be narrowed; the message is one line.
        MissingExtra: Parquet without pyarrow, or a database without its driver.
    """
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    if "://" in asked.source:
        _refuse(asked, "an Optuna study", direction=asked.direction, parameter=asked.parameters, range=asked.ranges)
        study = optuna_study.read(asked.source, asked.study_name, metric=asked.metric)
        new, past, notes = to_stage(study, name=_name(asked, study.name), now=now)
        return Read([(new, past)], tuple(notes))
    path = archive.trials_file(Path(asked.source))
    with archive.opened(path) as found:
        if found is not None:
            options = {"direction": asked.direction, "metric": asked.metric, "range": asked.ranges}
            _refuse(asked, "an export of hpsearch", **options, parameter=asked.parameters, study_name=asked.study_name)
            return Read(restore(found, name=asked.name, now=now))
    _refuse(asked, "a table", study_name=asked.study_name)
    columns = tables.read(path)
    table = tables.foreign(
        path,
        columns,
        metric=asked.metric,
        direction=asked.direction,
        parameters=asked.parameters,
        ranges=asked.ranges,
    )
    new, past, notes = to_stage(table, name=_name(asked, table.name), now=now)
    return Read([(new, past)], tuple(notes))


def _refuse(asked: Asked, what: str, **options: object) -> None:
    for option, given in options.items():
        if given:
            raise BadInput(f"--{option.replace('_', '-')} is not for {what}; leave it out")


def _name(asked: Asked, suggested: str) -> str:
    try:
        return check_name(suggested if asked.name is None else asked.name)
    except BadStudyFile as error:
        if asked.name is not None:
            raise
        raise BadInput(f"{error}; give the search one with --name") from error


def write(store: Store, read: Read) -> list[Stage]:
    """Write what was read, as a new search.

    Raises:
        StageConflict: There is a search of that name.
    """
    search = read.stages[0][0].search
    there = store.stages(search)
    if there:
        raise StageConflict(
            f"{store.where} has a search {search} already ({there[-1].name} is its latest stage), and an import "
            "touches nothing that is there; give it another name with --name"
        )
    return store.import_stages(read.stages)
