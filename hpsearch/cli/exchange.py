"""``hpsearch export`` and ``hpsearch import``: trials for other programs, and trials of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hpsearch.api import Search, import_trials
from hpsearch.cli import options
from hpsearch.cli.options import FILE, Command, Format, OneOf
from hpsearch.cli.render import command, emit, note, say
from hpsearch.errors import BadInput
from hpsearch.exchange.layout import all_columns
from hpsearch.records import Action
from hpsearch.reports.tables import by_column, ranges_table, status_table
from hpsearch.text import counted

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@options.search_or_stage
@click.option("--out", type=FILE, help="The file: .csv, .parquet or .json.")
@click.option("--format", "form", type=OneOf(["csv", "parquet", "json"]), help="Its format. [default: as --out ends]")
@click.option(
    "--what",
    type=OneOf(["trials", "curves", "all"]),
    default="all",
    help="A row a trial, a row an epoch of each, or both: then .csv and .parquet are two files.",
)
@options.one_stage
@options.force
@options.flag("--columns", "Only explain the columns.")
@options.storage
def export(
    search: str | None,
    out: Path | None,
    form: str | None,
    what: str,
    stage: int | None,
    force: bool,
    columns: bool,
    storage: str | None,
) -> None:
    """Write trials and learning curves to a file.

    For pandas, R or a spreadsheet. `hpsearch import` restores the stages from a .parquet or .json file.
    """
    if columns:
        emit(by_column(all_columns()), "json" if form == "json" else "csv" if form == "csv" else "table")
        return
    if out is None:
        raise BadInput("give --out FILE, such as --out results.csv, .parquet or .json")
    done, left_out = Search(search, storage=storage).export(out, form=form, what=what, stage=stage, force=force)
    rows = [] if what == "curves" else [counted(done.trials, "trial")]
    rows += [] if what == "trials" else [f"{counted(done.points, 'point')} of their curves"]
    stages = ", ".join(done.stages) if len(done.stages) == 1 else counted(len(done.stages), "stage")
    say(f"wrote {' and '.join(rows)} of {stages} to {', '.join(map(str, done.files.values()))}")
    if left_out:
        note(f"not in the export: {', '.join(left_out)}; an import does not know of them")


@click.command(cls=Command, name="import")
@click.argument("source", metavar="FILE_OR_URL", help="An export, a table with a score, or an Optuna storage URL.")
@click.option("--name", help="Name of the search. [default: its own]")
@click.option("--study-name", help="Which study of an Optuna storage.")
@click.option("--metric", help="Of a table: the column of the score.")
@click.option("--direction", type=OneOf(["maximize", "minimize"]), help="Of a table: which scores are better.")
@click.option(
    "--parameter", "parameters", multiple=True, help="Of a table: a column that is a parameter; may be repeated."
)
@click.option(
    "--range", "ranges", multiple=True, help="Of a table: lr=1e-6:1e-2:log or act=relu,tanh; may be repeated."
)
@options.storage
@options.output
def import_(source: str, storage: str | None, output: Format, **request: Any) -> None:
    """Read trials that were run elsewhere as a search.

    From an export, a table, or another Optuna study; the search is a new one.
    """
    search, notes = import_trials(source, storage=storage, **request)
    table = output == "table"
    stages = search.status()
    emit(status_table([(row.stage, row.counts, row.best) for row in stages], full=not table), output)
    if table:
        say()
        emit(ranges_table([row.stage for row in stages]), output)
        say()
    for text in notes:
        note(text)
    if table:
        say(f"next: {command(Action('narrow', {'search': search.name, 'storage': storage, 'top': 5}))}")
