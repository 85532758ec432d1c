"""The commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from hpsearch.cli import confirm, dashboard, data, evaluate, findings, model, narrow, predict, show, start, study, train

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
    evaluate.evaluate,
    predict.predict,
    dashboard.dashboard,
):
    app.command()(command)
app.add_typer(data.app, name="data")
app.add_typer(model.app, name="model")
COMMANDS = (*(command.callback.__name__ for command in app.registered_commands if command.callback), "data", "model")


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
