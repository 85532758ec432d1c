"""The commands, put together."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

import typer

from hpsearch.cli import (
    compare,
    confirm,
    dashboard,
    data,
    db,
    delete,
    docs,
    evaluate,
    exchange,
    findings,
    model,
    narrow,
    plot,
    predict,
    report,
    show,
    start,
    study,
    train,
)

app = typer.Typer(
    name="hpsearch",
    help=(
        "Staged random search for hyperparameters: draw values at random, train briefly, score on validation "
        "data, look, narrow the ranges, go again."
    ),
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    study.init,
    study.check,
    start.start,
    train.train,
    narrow.narrow,
    confirm.confirm,
    show.status,
    show.trials,
    show.best,
    findings.findings,
    plot.plot,
    report.report,
    evaluate.evaluate,
    predict.predict,
    compare.compare,
    exchange.export,
    exchange.import_,
    delete.delete,
    dashboard.dashboard,
    docs.docs,
):
    app.command(command.__name__.removesuffix("_"))(command)
app.add_typer(data.app, name="data")
app.add_typer(model.app, name="model")
app.add_typer(db.app, name="db")
COMMANDS = (*(command.name for command in app.registered_commands if command.name), "data", "model", "db")


@cache
def command_line() -> Any:
    """All commands as Click's one, which is built once a process: it takes longer than most that the commands do."""
    return typer.main.get_command(app)


def _version(asked: bool) -> None:
    if asked:
        from hpsearch import __version__

        typer.echo(f"hpsearch {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    # Taken out of the arguments before they get here, so that it may stand anywhere; here for --help.
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
