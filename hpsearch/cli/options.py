"""Parts of commands: a group that prints its help, and shared options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import click

from hpsearch.records import DEFAULT_STORAGE

Format: TypeAlias = Literal["table", "csv", "json"]
_Function = TypeVar("_Function", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)


class Range(click.IntRange):
    """A range of whole numbers; messages call a value an integer, as those of other options do."""

    name = "integer"


class Group(click.Group):
    """A group that prints its help where no command is named."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(invoke_without_command=True, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that is named."""
        result = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())
        return result


def flag(name: str, help: str) -> Callable[[_Function], _Function]:
    """Return an option without a value."""
    return click.option(name, is_flag=True, help=help)


storage = click.option(
    "--storage",
    envvar="HPSEARCH_STORAGE",
    help=f"Study database: a SQLite file or an SQLAlchemy URL. [default: {DEFAULT_STORAGE}]",
)
output = click.option(
    "--format", "output", type=click.Choice(get_args(Format)), default="table", help="How to print the data."
)
data_dir = click.option("--data-dir", type=FILE, help="Folder with data sets as IDX files. [default: $HPSEARCH_DATA]")
search = click.argument(
    "search", required=False, help="Name of the search, or its study file. [default: the only search]"
)
search_or_stage = click.argument(
    "search", required=False, help="Name of the search, or of a stage: mnist/stage-02. [default: the only search]"
)
stage = click.option("--stage", type=int, help="Stage number. [default: the latest]")
one_stage = click.option("--stage", type=int, help="Of this stage only. [default: all]")
force = flag("--force", "Overwrite files that exist.")
yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
no_backup = flag("--no-backup", "Make no copy of the database first.")
jobs = click.option("--jobs", type=int, help="Processes. [default: one per core]")
engine = click.option(
    "--engine",
    default="pool",
    help="pool: processes; dask: the workers of a Dask cluster; inline: no worker processes, one batch at a time.",
)
scheduler = click.option(
    "--scheduler",
    help="With --engine dask: tcp://HOST:PORT of its scheduler, or the scheduler file. [default: "
    "$HPSEARCH_SCHEDULER, or --jobs workers on this machine]",
)
lanes = click.option("--lanes", type=int, help="Trials trained together. [default: what suits the objective]")
epochs = click.option(
    "--epochs", type=int, help="Epochs that a new stage's trials are trained for. [default: as many as before]"
)
pruner = click.option(
    "--pruner", help="Prune unpromising trials of a new stage: halving, median or none. [default: the study file's]"
)
timeout = click.option("--timeout", help="End the run after so long: 90s, 10m, 1.5h. Trials under way are given back.")
until = click.option("--until", help='End the run once a trial has such a score: "score >= 0.9".')
max_failures = click.option(
    "--max-failures", type=int, help="End the run, with exit code 1, after so many failed trials in a row."
)
