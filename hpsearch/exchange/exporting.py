"""Export: a search's trials and learning curves as files for other programs, whole or not at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch import __version__
from hpsearch.errors import BadInput, nearest
from hpsearch.exchange import csv_files, json_file, parquet_files
from hpsearch.exchange.columns import CURVES, Piece, trial_columns
from hpsearch.exchange.gather import curves_of, lineage, trials_of
from hpsearch.exchange.header import header_of
from hpsearch.files import replacing

if TYPE_CHECKING:
    from hpsearch.exchange.columns import Column
    from hpsearch.records import Stage
    from hpsearch.store import Store

FORMS = ("csv", "parquet", "json")
WHAT = ("trials", "curves", "all")
SIDECAR = ".stages.json"
"""What the name of the file with the header ends with, beside CSV files."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Args:
        files: The files by what they hold: ``trials``, ``curves``, ``stages`` (the sidecar), or ``all`` in one.
        stages: Names of the stages.
        trials: Rows of trials.
        points: Rows of curves.
    """

    files: Mapping[str, Path]
    stages: tuple[str, ...]
    trials: int
    points: int


def target(out: Path, form: str | None) -> tuple[Path, str]:
    """The file and the form that are meant; a file without an ending gets that of the form.

    Raises:
        BadInput: The form is none of `FORMS`, or the file ends in another one.
    """
    if out.is_dir():
        raise BadInput(f"{out} is a folder; give a file in it")
    ending = out.suffix.removeprefix(".").lower()
    found = ending if form is None else form
    if found not in FORMS:
        raise BadInput(f"{out}: no format {found!r}{nearest(found, FORMS)}; give --format, or a file that ends in one")
    if not ending:
        return out.with_name(f"{out.name}.{found}"), found
    if ending != found:
        raise BadInput(
            f"{out} does not end in .{found}, so that nobody would know what it is; call it {out.stem}.{found}"
        )
    return out, found


def files_of(out: Path, form: str, what: str) -> dict[str, Path]:
    """The files that an export to ``out`` makes, by what they hold; see `Exported`."""
    if form == "json":
        return {"all": out}
    tables = ("trials", "curves") if what == "all" else (what,)
    files = {table: out if len(tables) == 1 else out.with_name(f"{out.stem}.{table}{out.suffix}") for table in tables}
    return files | ({"stages": out.with_name(f"{out.stem}{SIDECAR}")} if form == "csv" else {})


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
    """Write trials and curves to files.

    Args:
        store: The study database.
        stages: The search's stages.
        out: The file; where two are made, their names are this one's with ``.trials`` and ``.curves`` in it.
        form: One of `FORMS`; by default what ``out`` ends in.
        what: One of `WHAT`.
        number: Of this stage only, instead of all.
        force: Overwrite files that are there.

    Raises:
        BadInput: No such form, or a file is there, or cannot be written.
        MissingExtra: Parquet without pyarrow.
        OutputFailure: The disk is full.
    """
    out, form = target(out, form)
    files = files_of(out, form, what)
    if form == "parquet":
        parquet_files.require(out)
    for file in files.values():
        if file.exists() and not force:
            raise BadInput(f"{file} is there already; add --force to overwrite it, or give another --out")
    whole = [stage for stage in stages if number in (None, stage.number)]
    trials, curves, series = {}, {}, {}
    for stage in whole:
        rows = trials[stage.number] = trials_of(store, stage)
        if what != "trials":
            found = curves_of(store, stage, rows["trial"])  # type: ignore[arg-type]
            curves[stage.number], series[stage.number] = found.rows, found.series
    counts = {of: len(rows["trial"]) for of, rows in trials.items()}
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    header = header_of(lineage(stages, number), counts, series, exported=f"{now.isoformat()}Z", version=__version__)
    plain = header.model_dump(mode="json", exclude={"files"})
    tables: dict[str, tuple[Sequence[Column], Sequence[Piece]]] = {}
    if what != "curves":
        tables["trials"] = trial_columns(whole), list(trials.values())
    if what != "trials":
        tables["curves"] = CURVES, list(curves.values())
    with contextlib.ExitStack() as stack:
        # All are whole before the first takes its place.
        paths = {part: stack.enter_context(replacing(file)) for part, file in files.items()}
        if form == "json":
            json_file.write(paths["all"], plain, tables)
        elif form == "parquet":
            for table, (columns, pieces) in tables.items():
                parquet_files.write(paths[table], columns, pieces, json.dumps(plain))
        else:
            digests = {table: csv_files.write(paths[table], *of) for table, of in tables.items()}
            sidecar = json.dumps(plain | {"files": digests}, indent=1)
            paths["stages"].write_text(f"{sidecar}\n", encoding="utf-8")
    points = sum(len(rows["trial"]) for rows in curves.values())
    return Exported(files, tuple(stage.name for stage in whole), sum(counts.values()), points)
