"""Parts of commands: the command class, types of options that word their own errors, and shared options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import click

from hpsearch.errors import BadInput, nearest
from hpsearch.records import DEFAULT_STORAGE

Format: TypeAlias = Literal["table", "csv", "json"]
FORMATS: tuple[Format, ...] = ("table", "csv", "json")
_Function = TypeVar("_Function", bound=Callable[..., Any])
_SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}


class Command(click.Command):
    """A command that says in one line which argument is too many."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = _SETTINGS | {"allow_extra_args": True} | (kwargs.get("context_settings") or {})
        super().__init__(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; none may be left over."""
        try:
            rest = super().parse_args(ctx, args)
        except click.BadOptionUsage as error:
            error.ctx = ctx  # which Click's parser leaves out
            raise
        if rest:
            raise BadInput(f"{path(ctx)} takes no further argument: {' '.join(rest)}")
        return rest


class Group(click.Group):
    """A group that prints its help where no command is named."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = _SETTINGS
        super().__init__(*args, **{"no_args_is_help": False, "invoke_without_command": True, **kwargs})

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that is named."""
        result = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())
        return result


def path(ctx: click.Context) -> str:
    """Return a command as the user calls it, without the program's name: ``db check``."""
    return ctx.command_path.partition(" ")[2] or ctx.command_path


def called(param: click.Parameter | None) -> str:
    """Return a parameter's name for people: ``--top``, or ``FILE`` of an argument."""
    if param is None:
        return "the argument"
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return param.metavar or (param.name or "").upper()


class OneOf(click.Choice[str]):
    """One of a few words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word.

        Raises:
            BadInput: It is none of them.
        """
        if value in self.choices:
            return str(value)
        name = called(param) if isinstance(param, click.Option) else f"no {param.name if param else 'choice'}"
        raise BadInput(f"{name} {value!r}{nearest(str(value), self.choices)}")


class Number(click.ParamType[float]):
    """A number within bounds, which the error states.

    Args:
        kind: ``int`` or ``float``.
        low: The least; None for any.
        high: The greatest.
    """

    def __init__(self, kind: type[int] | type[float], low: int | None = None, high: int | None = None) -> None:
        self.kind, self.low, self.high = kind, low, high
        self.name = "integer" if kind is int else "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number.

        Raises:
            BadInput: It is none, or out of bounds.
        """
        try:
            number = self.kind(value)
        except ValueError:
            number = None
        if number is not None and (self.low is None or self.low <= number <= (self.high or number)):
            return number
        what = "a whole number" if self.kind is int else "a number"
        limits = "" if self.low is None else f" from {self.low:,}" + (f" to {self.high:,}" if self.high else "")
        raise BadInput(f"{called(param)} {value}: give {what}{limits}")


INT, FLOAT = Number(int), Number(float)
FILE = click.Path(path_type=Path)


def flag(name: str, help: str) -> Callable[[_Function], _Function]:
    """Return an option without a value."""
    return click.option(name, is_flag=True, help=help)


storage = click.option(
    "--storage",
    envvar="HPSEARCH_STORAGE",
    help=f"Study database: a SQLite file or an SQLAlchemy URL. [default: {DEFAULT_STORAGE}]",
)
output = click.option("--format", "output", type=OneOf(FORMATS), default="table", help="How to print the data.")
data_dir = click.option("--data-dir", type=FILE, help="Folder with data sets as IDX files. [default: $HPSEARCH_DATA]")
search = click.argument(
    "search", required=False, help="Name of the search, or its study file. [default: the only search]"
)
search_or_stage = click.argument(
    "search", required=False, help="Name of the search, or of a stage: mnist/stage-02. [default: the only search]"
)
stage = click.option("--stage", type=INT, help="Stage number. [default: the latest]")
one_stage = click.option("--stage", type=INT, help="Of this stage only. [default: all]")
force = flag("--force", "Overwrite files that exist.")
yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
no_backup = flag("--no-backup", "Make no copy of the database first.")
jobs = click.option("--jobs", type=INT, help="Processes. [default: one per core]")
engine = click.option(
    "--engine",
    default="pool",
    help="pool: processes; dask: the workers of a Dask cluster; inline: this process, for debugging.",
)
scheduler = click.option(
    "--scheduler",
    help="With --engine dask: tcp://HOST:PORT of its scheduler, or the scheduler file. [default: "
    "$HPSEARCH_SCHEDULER, or --jobs workers on this machine]",
)
lanes = click.option("--lanes", type=INT, help="Trials trained together. [default: what suits the objective]")
pruner = click.option(
    "--pruner",
    help="Prune unpromising trials of a new stage: halving, median or none. [default: the study file's]",
)
