"""The command line: one table of commands, each of which is loaded when it runs or its help is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click
from click.core import ParameterSource

from hpsearch import __version__
from hpsearch.cli.options import Group, flag

# Each command's place (module:function in this package) and its line in `hpsearch --help`.
COMMANDS = {
    "init": ("data:init", "Write a commented study file to begin from."),
    "check": ("data:check", "Validate a study file and say what a stage of it would do and cost."),
    "start": ("run:start", "Run a stage until it has the requested number of finished trials."),
    "stop": ("run:stop", "Ask all runs of a search to stop, wherever they are."),
    "retry": ("run:retry", "Give back failed trials, so that start runs them again with the same values."),
    "train": ("models:train", "Train one model with the study file's values; nothing is stored."),
    "narrow": ("narrow:narrow", "Compute the next stage's ranges from the best trials, with the evidence."),
    "refine": ("run:refine", "Run trials in the last ranges that a model of the scores proposes."),
    "confirm": ("run:confirm", "Run the best trials again with other seeds and rank them by their mean scores."),
    "status": ("show:status", "Show every stage: its trials by state, its best score, its ranges."),
    "trials": ("show:trials", "Show the trials of a stage: values, score, and why one failed."),
    "best": ("show:best", "Show the best trial of a search, and how sure it is the best."),
    "recommend": ("show:recommend", "Show the values to use, and what training them again gives."),
    "checklist": ("narrow:checklist", "Answer what to ask of a search before its results are believed."),
    "plot": ("report:plot", "Plot a figure of a search."),
    "report": ("report:report", "Write one page about a search, with figures and tables."),
    "evaluate": ("models:evaluate", "Train the chosen values and score them on the test set, once."),
    "predict": ("models:predict", "Classify new examples with a saved model."),
    "compare": ("compare:compare", "Compare two searches, stages or trials, and say whether to adopt B's values."),
    "baseline": ("compare:baseline", "Name the trial that is in use, with which searches are compared."),
    "export": ("db:export", "Write trials and learning curves to a file, or to MLflow or Weights & Biases."),
    "import": ("db:import_", "Read trials that were run elsewhere as a search."),
    "delete": ("db:delete", "Remove a stage, a confirmation or a whole search."),
    "serve": ("service:serve", "Serve the searches of a database: a page, an HTTP API, and the jobs that they start."),
    "token": ("service:token", "Say who may use the service: make, list and revoke tokens."),
    "data": ("data:data", "List, download and show data sets."),
    "model": ("models:model", "Show a saved model, or export it."),
    "docs": ("docs:docs", "Read the manual."),
    "db": ("db:db", "Maintain the study database: check, repair, backup, vacuum."),
}


class Commands(Group):
    """The commands of the table, each loaded when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Load a command."""
        if name not in COMMANDS:
            if ctx.resilient_parsing:  # a shell that completes a command is told nothing
                return None
            raise click.NoSuchCommand(name, possibilities=COMMANDS, ctx=ctx)
        module, _, function = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(import_module(f"hpsearch.cli.{module}"), function)
        if (server := ctx.params.get("server")) and not ctx.resilient_parsing:
            explicit = ctx.get_parameter_source("server") is ParameterSource.COMMANDLINE
            command = import_module("hpsearch.cli.remote").sent(name, command, server, explicit=explicit)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, without loading the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


_SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}  # of all commands


@click.group("hpsearch", cls=Commands, context_settings=_SETTINGS)
@click.version_option(__version__, message="hpsearch %(version)s", help="Print the version.")
@click.option(
    "--server", metavar="URL", envvar="HPSEARCH_SERVER", help="Let the server of `hpsearch serve` carry it out."
)
@flag("--debug", "Show tracebacks of errors.")
def app(**_: Any) -> None:
    """Staged random search for hyperparameters: sample values at random, train briefly, score on validation data,
    look at the results, narrow the ranges, repeat."""
