"""Import: an export of ours, a table of trials or an Optuna study, as a search of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, StrictStr, TypeAdapter, ValidationError

from hpsearch.data.formats import TABLES
from hpsearch.data.tables import arrow, read_parquet
from hpsearch.distributions import MAX_INT
from hpsearch.errors import BadInput, BadStudyFile, StageConflict
from hpsearch.exchange.exporting import typed_cells
from hpsearch.exchange.foreign import STATES, ForeignTrials, ImportRequest, curves_only, foreign_trials, settled
from hpsearch.exchange.layout import KEY, PARAMS, POINTS, Column, Header, StageHeader, Type, iso, parse_header
from hpsearch.exchange.tools import keras_tuner, read_csv_columns, unpacked
from hpsearch.files import first_line, kind_of
from hpsearch.records import (
    CURVES,
    EXPORT,
    HITS,
    OTHERS,
    REASON,
    SECONDS,
    VALIDATION_LOSS,
    Action,
    Argument,
    NewStage,
    PastTrials,
    Sentence,
    Stage,
    stage_name,
)
from hpsearch.space import Categorical, Int, Parameter, Value
from hpsearch.store import Store
from hpsearch.store.schema import FINISHED
from hpsearch.study_file import check_name

_MAX_STEP = 2**31 - 1


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def _whole(text: str) -> str:
    text.encode()  # half a surrogate pair, which JSON allows, is no text
    return text


_Text = Annotated[StrictStr, AfterValidator(_whole)]
_CELLS: Mapping[Type, TypeAdapter[list[Any]]] = {
    "int": TypeAdapter(list[Annotated[StrictInt, Field(ge=-MAX_INT, le=MAX_INT)] | None]),
    "float": TypeAdapter(list[float | None]),  # the texts NaN, Infinity and -Infinity among them
    "text": TypeAdapter(list[_Text | None]),
    "time": TypeAdapter(list[Annotated[datetime, AfterValidator(_utc)] | None]),
    "choice": TypeAdapter(list[_Text | StrictBool | StrictInt | StrictFloat | None]),
}


@dataclass(frozen=True, slots=True)
class Imported:
    """Stages that were read, for `write`, and warnings."""

    stages: Sequence[tuple[NewStage, PastTrials]]
    notes: Sequence[Sentence] = ()


def read(request: ImportRequest) -> Imported:
    """Read all of an import before a database is touched.

    Raises:
        BadInput: It cannot be read, is damaged, or cannot be narrowed; the message is one line.
        MissingExtra: Parquet without pyarrow, or a database without its driver.
    """
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    path = Path(request.source)
    if "://" in request.source or path.suffix in (".db", ".sqlite", ".sqlite3"):
        from hpsearch.exchange import optuna_studies  # loads Optuna, and files do without

        request.refuse("an Optuna study", "direction", "parameters", "ranges")
        study = optuna_studies.read(request.source, request.study_name, metric=request.metric)
        return _foreign(study, request, now)
    if path.suffix == ".toml":
        raise BadInput(f"{path} is a study file and holds no trials; `{{}}` runs it", Action("start", {"search": path}))
    if not path.exists() and (trials := path.with_name(f"{path.stem}.trials{path.suffix}")).exists():
        path = trials  # `export` has made two files of it
    if path.is_dir() and (theirs := keras_tuner(path)) is not None:
        tool, columns, ranges = theirs
        return _foreign(foreign_trials(path.resolve(), columns, request, tool, ranges), request, now)
    match kind_of(path, (*TABLES, ".json"), "a database URL", folder=False):
        case ".json":
            archive = _json_archive(path)
        case ".parquet":
            table = read_parquet(path)
            if (header := _metadata(table)) is None:
                return _foreign(foreign_trials(path, unpacked(_cells(path, table)), request), request, now)
            archive = _parquet_archive(path, table, header)
        case _:
            return _foreign(foreign_trials(path, read_csv_columns(path), request), request, now)
    request.refuse("an export of hpsearch", "direction", "metric", "ranges", "parameters", "study_name")
    return Imported(_restored(archive, request.name, now))


def _foreign(trials: ForeignTrials, request: ImportRequest, now: datetime) -> Imported:
    try:
        name = check_name(request.name or trials.name)
    except BadStudyFile as error:
        if request.name is not None:
            raise
        raise BadInput(f"{error}; give the search one with {{}}", Argument("name")) from error
    new, past, notes = trials.to_stage(name, now)
    return Imported([(new, past)], notes)


def write(store: Store, imported: Imported) -> list[Stage]:
    """Write what was read as a new search, all of it or nothing.

    Raises:
        StageConflict: There is a search of that name.
    """
    search = imported.stages[0][0].search
    stages = store.stages(search)
    if stages:
        raise StageConflict(
            f"{store.where} has a search {search} already ({stages[-1].name} is its latest stage), and an import "
            "changes no search; give it another name with {}",
            Argument("name"),
        )
    return store.import_stages(imported.stages)


@dataclass(frozen=True, slots=True)
class _Archive:
    """An export that was read: the cells of its trials (None: missing), the points of its curves (NA: missing)."""

    source: str
    header: Header
    trials: Mapping[str, list[Any]]
    curves: pd.DataFrame

    def damaged(self, problem: str) -> BadInput:
        """Return the error of a damaged export."""
        return BadInput(f"{self.source} is damaged: {problem}")


def _json_archive(path: Path) -> _Archive:
    try:
        with path.open(encoding="utf-8-sig") as file:
            plain = json.load(file, object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} is no JSON, or is cut off: {first_line(error)}") from error
    header = parse_header(plain, source=str(path))
    if "trials" not in plain:
        raise curves_only(path)
    trials = _table(path, "trials", plain["trials"], header.trial_columns())
    columns = _curve_columns(header)
    cells = _table(path, "curves", plain["curves"], columns) if "curves" in plain else {}
    curves = pd.DataFrame({column.name: typed_cells(column, cells.get(column.name, [])) for column in columns})
    return _Archive(path.name, header, trials, _by_epoch(path, curves))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(plain := dict(pairs)) < len(pairs):
        raise ValueError("it has a key twice")
    return plain


def _table(path: Path, name: str, cells: Any, columns: Sequence[Column]) -> dict[str, list[Any]]:
    """Return the cells of a JSON or Parquet file's table, each of its type; `_checked` looks at their values."""
    table = {}
    for column in columns:
        try:
            table[column.name] = _CELLS[column.type].validate_python(cells[column.name])
        except ValidationError as error:
            odd = repr(error.errors()[0]["input"])[:40]
            raise BadInput(f"{path} is damaged: {column.name} holds {odd}") from error
        except (KeyError, TypeError, OverflowError) as error:
            raise BadInput(f"{path} is damaged: {name} has no whole column {column.name!r}") from error
    if len(set(map(len, table.values()))) > 1:
        raise BadInput(f"{path} is damaged: the columns of {name} differ in length")
    return table


def _curve_columns(header: Header) -> tuple[Column, ...]:
    """Return the columns of the curves that the trials of any stage keep."""
    names = dict.fromkeys(name for stage in header.stages for name in stage.series)
    return (*POINTS, *(Column(name, "float", "") for name in names))


def _by_epoch(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Return the points of curves in order, checked."""
    for name in ("trial", "epoch"):
        numbers = table[name]
        if numbers.isna().any() or (numbers.abs() > _MAX_STEP).any():
            raise BadInput(f"{path} is damaged: its curves have a {name} that is no whole number")
        table[name] = numbers.astype(np.int64)
    if table.duplicated(["stage", "trial", "epoch"]).any():
        raise BadInput(f"{path} is damaged: its curves have an epoch twice")
    return table.sort_values(["stage", "trial", "epoch"])


def _cells(path: Path, table: Any) -> dict[str, list[Any]]:
    """Return the cells of one of Arrow's tables by column."""
    if len(set(table.column_names)) < len(table.column_names):
        raise BadInput(f"{path} has a column twice; rename one")
    try:
        cells: dict[str, list[Any]] = table.to_pydict()
    except Exception as error:  # of types that Python has not, or bytes that are no text; several kinds
        raise BadInput(f"{path} has cells that cannot be read: {first_line(error)}") from error
    return cells


def _metadata(table: Any) -> str | None:
    """Return the header of an export, as JSON; None for somebody else's table."""
    header = (table.schema.metadata or {}).get(KEY.encode())
    return None if header is None else str(header.decode("utf-8", "replace"))


def _parquet_archive(path: Path, table: Any, text: str) -> _Archive:
    header = parse_header(text, source=str(path))
    if "epoch" in table.column_names:
        raise curves_only(path)
    columns = header.trial_columns()
    trials = _table(path, "trials", _cells(path, table), columns)
    for column in columns:
        if column.type == "choice" and column.only_type is object:
            choices = dict(zip(column.choice_texts(), column.choices, strict=True))
            trials[column.name] = [choices.get(cell, cell) for cell in trials[column.name]]
    columns = _curve_columns(header)
    curves = pd.DataFrame({column.name: typed_cells(column, []) for column in columns})
    other = path.with_name(f"{path.stem.removesuffix('.trials')}.curves{path.suffix}")
    if path.stem.endswith(".trials") and other.exists():
        points = read_parquet(other)
        if _metadata(points) != text:
            raise BadInput(f"{other} is of another export than {path}; move it away, or export both again")
        pa = arrow(other)
        types = {"text": pa.string(), "int": pa.int64(), "float": pa.float64()}
        schema = pa.schema([(column.name, types[column.type]) for column in columns])
        try:
            # Columns of Arrow's: there may be millions of points, and a NaN is not a missing value.
            curves = points.select(schema.names).cast(schema).to_pandas(types_mapper=pd.ArrowDtype)
        except (KeyError, ValueError, pa.ArrowException) as error:
            raise BadInput(f"{other} is damaged: {first_line(error)}") from error
    return _Archive(path.name, header, trials, _by_epoch(other, curves))


def _restored(archive: _Archive, name: str | None, now: datetime) -> list[tuple[NewStage, PastTrials]]:
    """Return the stages of an export with their trials."""
    header = archive.header
    rows: dict[str, list[int]] = {stage_name(header.search, stage.number): [] for stage in header.stages}
    for stage in {*archive.trials["stage"], *archive.curves["stage"]} - rows.keys():
        raise archive.damaged(f"it does not describe the stage {str(stage)[:80]!r}")
    for row, stage in enumerate(archive.trials["stage"]):
        rows[stage].append(row)
    restored = []
    for of_header, old, new in zip(header.stages, rows, header.new_stages(name), strict=True):
        about = {
            "from": archive.source,
            "kind": EXPORT,
            "stage": old,
            "exported": header.exported,
            "imported": iso(now),
            OTHERS: of_header.others,
            **({"before": dict(new.imported)} if new.imported else {}),
        }
        numbers = {archive.trials["trial"][row]: row for row in rows[old]}
        trials = of_header.trials or 0
        if len(rows[old]) != trials or not set(range(trials)) <= numbers.keys():
            raise archive.damaged(f"of the {trials} trials of {old} some are missing or there twice")
        past = _past_trials(archive, new, of_header, old, [numbers[number] for number in range(trials)], now)
        restored.append((replace(new, imported=about), past))
    return restored


def _past_trials(
    archive: _Archive, new: NewStage, header: StageHeader, name: str, rows: list[int], now: datetime
) -> PastTrials:
    def cells(name: str) -> list[Any]:
        # Of an ancestor's own hyperparameter there is no column, and no trial.
        return [archive.trials[name][row] for row in rows] if rows else []

    states, scores = cells("state"), cells("score")
    for trial, (state, score) in enumerate(zip(states, scores, strict=True)):
        if state not in STATES:
            raise archive.damaged(f"{new.name}: trial {trial} has the state {str(state)[:40]!r}")
        if score != score or (state == "COMPLETE" and (score is None or math.isinf(score))):
            raise archive.damaged(f"{new.name}: trial {trial} is {state} and has no score, or none that is finite")
    ended = [state in FINISHED for state in states]
    curves = archive.curves[archive.curves["stage"] == name]
    if not curves["trial"].between(0, len(rows) - 1).all():
        raise archive.damaged("its curves have a trial that is not there")
    curves = curves[np.array(ended, dtype=bool)[curves["trial"]]]
    points = curves[curves["score"].notna()]

    def attributes() -> Iterator[tuple[int, str, Any]]:
        for key in (VALIDATION_LOSS, SECONDS, REASON, HITS):
            for n, cell in enumerate(cells(key)):
                # The reason of a pruned trial is read from its curve.
                if cell is not None and ended[n] and not (key == REASON and states[n] == "PRUNED"):
                    yield n, key, cell
        yield from _curve_attributes(curves, header.series)

    past = PastTrials(
        states=states,
        scores=scores,
        started=cells("started"),
        finished=cells("finished"),
        params={name: _checked(archive, name, of, cells(f"{PARAMS}{name}")) for name, of in new.space.items()},
        points=(points["trial"].to_numpy(), points["epoch"].to_numpy(), points["score"].to_numpy(float)),
        attributes=attributes(),
    )
    return settled(past, now)


def _checked(archive: _Archive, name: str, parameter: Parameter, values: Sequence[Any]) -> list[Value | None]:
    """Return values as their parameter has them; a number outside its range may stay."""
    known = [value for value in values if value is not None]
    if isinstance(parameter, Categorical):
        choices = {(type(choice), choice) for choice in parameter.choices}
        odd = [value for value in known if (type(value), value) not in choices]
    elif isinstance(parameter, Int):
        odd = [value for value in known if not abs(value) <= MAX_INT or value != int(value)]
    else:
        odd = [value for value in known if not abs(value) <= 2.0**1023]
    if odd:
        raise archive.damaged(f"{name} has the value {repr(odd[0])[:40]}")
    return [int(value) if isinstance(parameter, Int) and value is not None else value for value in values]


def _curve_attributes(curves: pd.DataFrame, series: Sequence[str]) -> Iterator[tuple[int, str, dict[str, list[float]]]]:
    """Yield the attribute with the learning curves, trial by trial."""
    values = [(name, curves[name].to_numpy(float, na_value=np.nan), curves[name].notna().to_numpy()) for name in series]
    numbers, starts = np.unique(curves["trial"], return_index=True)
    for number, (start, stop) in zip(numbers.tolist(), pairwise([*starts, len(curves)]), strict=True):
        part = slice(start, stop)
        kept = {name: of[part][there[part]].tolist() for name, of, there in values if there[part].any()}
        if kept:
            yield number, CURVES, kept
