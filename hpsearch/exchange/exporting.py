"""Export: a search's trials and learning curves as files for other programs, whole or not at all."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpsearch import __version__
from hpsearch.data.tables import arrow
from hpsearch.errors import BadInput, nearest
from hpsearch.exchange.layout import (
    DIRECTION,
    KEY,
    LAYOUT,
    PARAMS,
    POINTS,
    TYPES,
    Column,
    Header,
    StageHeader,
    curve_columns,
    iso,
    trial_columns,
)
from hpsearch.files import replacing
from hpsearch.records import CURVES, HITS, Argument, Stage, ancestry
from hpsearch.space import Value
from hpsearch.store import Store

FORMS = ("csv", "parquet", "json")
_ODD = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
# Beginnings that make a spreadsheet take a cell for a formula; an apostrophe before them makes it text there.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


@dataclass(frozen=True, slots=True)
class Exported:
    """Files by their content (``trials``, ``curves``, or ``all`` in one), names of stages, and numbers of rows."""

    files: Mapping[str, Path]
    stages: tuple[str, ...]
    trials: int
    points: int


def target(out: Path, form: str | None) -> tuple[Path, str]:
    """Return the file and its format; a file without an ending gets that of the format."""
    if out.is_dir():
        raise BadInput(f"{out} is a folder; give a file in it")
    ending = out.suffix.removeprefix(".").lower()
    form = ending if form is None else form
    if form not in FORMS:
        raise BadInput(
            f"{out}: no format {form!r}{nearest(form, FORMS)}; give {{}}, or a file that ends in one", Argument("form")
        )
    if not ending:
        return out.with_name(f"{out.name}.{form}"), form
    if ending != form:
        raise BadInput(f"{out} does not end in .{form}; call it {out.stem}.{form}")
    return out, form


def export(
    store: Store,
    stages: Sequence[Stage],
    out: Path,
    *,
    form: str | None = None,
    what: str = "all",
    number: int | None = None,
    force: bool = False,
) -> Exported:
    """Write trials and curves to files, all of them whole or none; see `hpsearch.Search.export`.

    Args:
        store: The study database.
        stages: The search's stages; ``number`` chooses one.
        out: The file; where two are made, their names are this one's with ``.trials`` and ``.curves`` in it.
        form, what, number, force: As there.
    """
    out, form = target(out, form)
    names = ("trials", "curves") if what == "all" else (what,)
    files = {"all" if form == "json" else what: out}
    if form != "json" and what == "all":
        files = {name: out.with_name(f"{out.stem}.{name}{out.suffix}") for name in names}
    if form == "parquet":
        arrow(out)
    for file in files.values():
        if file.exists() and not force:
            raise BadInput(
                f"{file} exists; add {{}} to overwrite it, or give another {{}}", Argument("force"), Argument("out")
            )
    chosen = [stage for stage in stages if number in (None, stage.number)]
    columns: dict[str, tuple[Column, ...]] = {"trials": trial_columns(chosen), "curves": curve_columns(chosen[0])}
    rows, curves, series = {}, {}, {}
    for stage in chosen:
        rows[stage.number] = _trials(store, stage, columns["trials"])
        if what != "trials":
            curves[stage.number], series[stage.number] = _curves(store, stage, columns["curves"], rows[stage.number])
    parts = {"trials": rows, "curves": curves}
    tables = {name: pd.concat(parts[name].values(), ignore_index=True) for name in names}
    described = stages if number is None else sorted(ancestry(stages, chosen[0]), key=lambda stage: stage.number)
    header = Header(
        hpsearch_export=LAYOUT,
        search=stages[0].search,
        exported=iso(datetime.now(UTC).replace(microsecond=0)),
        version=__version__,
        stages=[
            StageHeader.of(
                stage,
                rows.get(stage.number),
                series.get(stage.number, []),
                store.others(stage) if stage.number in rows else None,
            )
            for stage in described
        ],
        columns={
            name: {column.name: f"{TYPES[column.type]}: {column.meaning}" for column in of}
            for name, of in columns.items()
        },
    ).model_dump(mode="json")
    with contextlib.ExitStack() as stack:
        # All are whole before the first takes its place.
        paths = {content: stack.enter_context(replacing(file)) for content, file in files.items()}
        if form == "json":
            _write_json(paths["all"], header, tables, columns)
        else:
            for name in names:
                write = _write_parquet if form == "parquet" else _write_csv
                write(paths[name], tables[name], columns[name], header)
    return Exported(
        files, tuple(stage.name for stage in chosen), sum(map(len, rows.values())), sum(map(len, curves.values()))
    )


def _write_csv(path: Path, table: pd.DataFrame, columns: Sequence[Column], header: Mapping[str, Any]) -> None:
    for column in columns:
        convert: Any = {"text": escaped, "time": iso, "choice": _choice_text(column, escaped)}.get(column.type)
        if convert is not None:
            table[column.name] = _mapped(table[column.name], convert)
    table.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def _mapped(values: pd.Series[Any], function: Callable[[Any], Any]) -> pd.Series[Any]:
    return values.astype(object).map(function, na_action="ignore")


def _choice_text(column: Column, text: Callable[[str], str]) -> Callable[[Value], str]:
    pairs = zip(column.choices, column.choice_texts(), strict=True)
    texts = {(type(choice), choice): text(name) for choice, name in pairs}
    return lambda value: texts[type(value), value]


def escaped(text: str) -> str:
    """Return a text as a cell that is a formula for no spreadsheet, and not empty."""
    return _utf8(f"'{text}" if not text or text.startswith(_FORMULA) else text)


def _utf8(text: str) -> str:
    """Return a text that a UTF-8 file can hold: JSON may hold a lone surrogate."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _write_parquet(path: Path, table: pd.DataFrame, columns: Sequence[Column], header: Mapping[str, Any]) -> None:
    pa = arrow(path)
    for column in columns:
        if column.type == "choice" and column.only_type is object:
            table[column.name] = _mapped(table[column.name], _choice_text(column, _utf8))
        elif column.type == "text" or column.only_type is str:
            table[column.name] = _mapped(table[column.name], _utf8)
    made = pa.Table.from_pandas(table, preserve_index=False)
    # pandas has no way to write metadata of one's own.
    made = made.replace_schema_metadata({**(made.schema.metadata or {}), KEY: json.dumps(header)})
    pa.parquet.write_table(made, path, compression="zstd")


def _write_json(
    path: Path, header: dict[str, Any], tables: Mapping[str, pd.DataFrame], columns: Mapping[str, Sequence[Column]]
) -> None:
    """Write the header's keys, then each table as lists of one length.

    `DataFrame.to_json` rounds numbers. JSON has no NaN and no infinities: they are the strings "NaN", "Infinity" and
    "-Infinity"; null is a missing cell.
    """
    content: dict[str, Any] = dict(header)
    for name, table in tables.items():
        content[name] = {column.name: _json_cells(column, table[column.name]) for column in columns[name]}
    path.write_text(f"{json.dumps(content, default=iso)}\n", encoding="utf-8")


def _json_cells(column: Column, values: pd.Series[Any]) -> list[Any]:
    missing: Any = None  # the type stubs forget that it may be None
    cells: list[Any] = values.to_numpy(dtype=object, na_value=missing).tolist()
    if column.type != "float":
        return cells
    return [cell if cell is None or math.isfinite(cell) else _ODD[str(cell)] for cell in cells]


def _trials(store: Store, stage: Stage, columns: Sequence[Column]) -> pd.DataFrame:
    """Return the rows of a stage's trials."""
    of = dict(store.columns(stage))
    rows = len(of["number"])
    hits = dict(store.attributes(stage, HITS))
    of |= {f"{PARAMS}{name}": of[f"param:{name}"] for name in stage.space}
    of |= {"stage": [stage.name] * rows, "trial": of["number"], "metric": [stage.metric] * rows}
    of[DIRECTION] = [stage.direction] * rows
    of[HITS] = [hits.get(number) for number in of["number"]]
    missing = [None] * rows  # a hyperparameter of another stage
    return pd.DataFrame({column.name: typed_cells(column, of.get(column.name, missing)) for column in columns})


def typed_cells(column: Column, cells: Sequence[Any]) -> pd.Series[Any]:
    """Return cells, None for a missing one, as a pandas column of the column's type."""
    match column.type:
        case "int":
            return pd.Series(cells, dtype="Int64")
        case "float":
            return floats(np.array([0.0 if c is None else c for c in cells], float), [c is None for c in cells])
        case "time":
            return pd.to_datetime(pd.Series(cells, dtype=object), utc=True).astype("datetime64[us, UTC]")
        case _:
            return pd.Series(cells, dtype=object)


def floats(values: NDArray[np.float64], missing: Any) -> pd.Series[Any]:
    """Return a column in which a NaN is not a missing value: a loss may be one."""
    return pd.Series(pd.arrays.FloatingArray(values, np.asarray(missing, dtype=bool)))


def _curves(
    store: Store, stage: Stage, columns: Sequence[Column], trials: pd.DataFrame
) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of a stage's learning curves, and the names of those that its trials keep beside their score's.

    Of the trials that are exported alone: others may have begun meanwhile. The curve of the metric is the score's.
    """
    names = [column.name for column in columns[len(POINTS) :]]
    kept: dict[str, list[tuple[int, list[float]]]] = {}
    for number, curves in store.attributes(stage, CURVES):
        for name in names:
            values = curves.get(name) if isinstance(curves, dict) else None  # or somebody else's attribute of that name
            if isinstance(values, list) and values and all(type(value) in (float, int) for value in values):
                kept.setdefault(name, []).append((number, values))
    points = store.curves(stage)
    series = {"score": _curve(points["number"], points["step"], points["value"])}
    for name, of_trials in kept.items():
        lengths = [len(values) for _, values in of_trials]
        trial = np.repeat([number for number, _ in of_trials], lengths)
        epoch = np.concatenate([np.arange(1, length + 1) for length in lengths])
        series[name] = _curve(trial, epoch, np.concatenate([values for _, values in of_trials]))
    table = pd.concat(series, axis=1).sort_index()  # outer join by trial and epoch
    table = table[table.index.isin(trials["trial"], level="trial")].reset_index()
    table.insert(0, "stage", pd.Series([stage.name] * len(table), dtype=object))
    if stage.metric in names and stage.metric not in kept:
        table[stage.metric] = table["score"]
    for name in names:
        if name not in table:
            table[name] = floats(np.zeros(len(table)), [True] * len(table))
    return table[[column.name for column in columns]], [name for name in names if name in kept]


def _curve(number: Any, step: Any, values: Any) -> pd.Series[Any]:
    places = pd.MultiIndex.from_arrays(
        [np.asarray(number, np.int64), np.asarray(step, np.int64)], names=["trial", "epoch"]
    )
    curve = floats(np.asarray(values, dtype=float), np.zeros(len(places)))
    curve.index = places
    return curve
