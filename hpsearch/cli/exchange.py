"""``hpsearch export`` and ``hpsearch import``: trials for other programs, and trials of others."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hpsearch.cli.options import Format, FormatOption, SearchOrStage, Storage, storage_url
from hpsearch.commands import DEFAULT_STORAGE
from hpsearch.text import counted


class Form(StrEnum):
    """Forms of exported files."""

    csv = "csv"
    parquet = "parquet"
    json = "json"


class What(StrEnum):
    """What is exported."""

    trials = "trials"
    curves = "curves"
    all = "all"


class Better(StrEnum):
    """Which scores are better."""

    maximize = "maximize"
    minimize = "minimize"


def export(
    search: SearchOrStage = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file: .csv, .parquet or .json.", show_default=False)
    ] = None,
    form: Annotated[
        Form | None, typer.Option("--format", help="Its form. [default: as --out ends]", show_default=False)
    ] = None,
    what: Annotated[
        What,
        typer.Option(help="A row a trial, a row an epoch of each, or both: then .csv and .parquet are two files."),
    ] = What.all,
    stage: Annotated[int | None, typer.Option(help="Of this stage only. [default: all]", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    columns: Annotated[bool, typer.Option("--columns", help="Only say what the columns mean.")] = False,
    storage: Storage = None,
) -> None:
    """Write trials and learning curves to a file for pandas, R or a spreadsheet.

    `hpsearch import` restores the stages from a .parquet or .json file.
    """
    from hpsearch.cli.output import note, say
    from hpsearch.errors import BadInput
    from hpsearch.exchange import exporting
    from hpsearch.search.evaluation import evaluations
    from hpsearch.search.stage import pick, resolve_stage, stages_of
    from hpsearch.store import open_store

    if columns:
        _show_columns(form)
        return
    if out is None:
        raise BadInput("where to? Give --out FILE, such as --out results.csv, .parquet or .json")
    search, stage = resolve_stage(search, stage)
    exporting.target(out, form)
    store = open_store(storage_url(storage))
    try:
        stages = stages_of(store, search)
        if stage is not None:
            pick(stages, stage)
        done = exporting.export(store, stages, out, form=form, what=what, number=stage, force=force)
        stays = [one.name for one in store.confirmations(stages[0].search)]
        many = len(evaluations(store, stages))
        stays += [f"{counted(many, 'evaluation')} on the test set"] if many else []
    finally:
        store.close()
    rows = [] if what is What.curves else [counted(done.trials, "trial")]
    rows += [] if what is What.trials else [f"{counted(done.points, 'point')} of their curves"]
    stages_said = (
        done.stages[0] if len(done.stages) == 1 else f"{counted(len(done.stages), 'stage')} of {stages[0].search}"
    )
    say(f"{' and '.join(rows)} of {stages_said} are in {', '.join(str(file) for file in done.files.values())}")
    if stays:
        note(f"not in the export: {', '.join(stays)}; whoever imports it does not know of them")


def _show_columns(form: Form | None) -> None:
    from hpsearch.cli.output import emit
    from hpsearch.exchange.layout import all_columns
    from hpsearch.reports.tables import by_column

    emit(
        by_column(all_columns()), {Form.json: Format.json, Form.csv: Format.csv}.get(form or Form.parquet, Format.table)
    )


def import_(
    source: Annotated[
        str, typer.Argument(metavar="FILE_OR_URL", help="An export, a table with a score, or an Optuna storage URL.")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the search. [default: its own]", show_default=False)] = None,
    study_name: Annotated[str | None, typer.Option(help="Which study of an Optuna storage.")] = None,
    metric: Annotated[str | None, typer.Option(help="Of a table: the column of the score.")] = None,
    direction: Annotated[Better | None, typer.Option(help="Of a table: which scores are better.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(help="Of a table: a column that is a hyperparameter; may be repeated.", show_default=False),
    ] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range", help="Of a table: lr=1e-6:1e-2:log or act=relu,tanh; may be repeated.", show_default=False
        ),
    ] = None,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Read trials that were run elsewhere as a search of their own: an export, a table, or another Optuna study."""
    from hpsearch.cli import render
    from hpsearch.cli.output import emit, note, say
    from hpsearch.commands import command_line
    from hpsearch.exchange import foreign, importing
    from hpsearch.reports.tables import ranges_table, status_table
    from hpsearch.search.stage_loop import make_folder
    from hpsearch.store import open_store

    asked = foreign.ImportRequest(
        source, name, study_name, metric, None if direction is None else direction.value, parameter or (), ranges or ()
    )
    read = importing.read(asked)
    if storage is None:
        make_folder(DEFAULT_STORAGE.parent)
    store = open_store(storage_url(storage), create=True, write=True)
    try:
        stages = importing.write(store, read)
        rows = []
        for stage in stages:
            top = store.columns(stage, top=1)["score"]
            rows.append((stage, store.counts(stage), top[0] if top else None))
    finally:
        store.close()
    emit(status_table(rows, full=output is not Format.table), output)
    if output is Format.table:
        say()
        emit(ranges_table(stages), output)
        say()
    for text in read.notes:
        note(text.worded(render.word))
    if output is Format.table:
        say(f"next: {command_line('narrow', stages[0].search, storage, '--top', '5')}")
