"""``hpsearch compare`` and ``baseline``: whether what was found is better than what is in use."""

from __future__ import annotations

import click

from hpsearch.api import Search
from hpsearch.cli import options
from hpsearch.cli.options import Format, Group
from hpsearch.cli.render import emit, emit_object, emit_record, say
from hpsearch.errors import BadArgument
from hpsearch.records import Action
from hpsearch.reports.tables import comparison_table
from hpsearch.representations import comparison_columns
from hpsearch.wording import command, worded


@click.command()
@click.argument(
    "a", metavar="A", help="A search (mnist), a stage (mnist/stage-02), a trial (mnist/stage-02/7), or FILE::mnist."
)
@click.argument("b", metavar="[B]", required=False, help="Likewise. [default: A is compared with its baseline]")
@options.storage
@click.option("--other-storage", help="The database of B. [default: that of A]")
@options.output
def compare(a: str, b: str | None, storage: str | None, other_storage: str | None, output: Format) -> None:
    """Compare two searches, stages or trials, and say whether to adopt B's values.

    The best trial of each, all their trials, and their cost.
    """
    if b is None and other_storage is not None:
        raise BadArgument("other_storage", other_storage, "it is the database of B, and B is missing", "give B, too")
    other = None if b is None else _named(b, storage if other_storage is None else other_storage)
    result = _named(a, storage).compare(other)
    if output == "json":
        emit_object(result)
    elif output == "csv":
        emit(comparison_columns(result), output)
    else:
        emit(comparison_table(result), output)
        recommendation, *gains = result.sentences
        if gains or result.remarks:
            say()
        for gain in gains:
            say(f"  {worded(gain)}", hanging=4)
        for remark in result.remarks:
            say(f"  note: {worded(remark)}", hanging=4)
        say()
        say(worded(recommendation))


def _named(text: str, storage: str | None) -> Search:
    """Return a search by its name, which may have its database before it; without a name, the only search there."""
    where, mark, name = text.rpartition("::")
    return Search(name or None, storage=where if mark else storage)


@click.group(cls=Group)
def baseline() -> None:
    """Name the trial that is in use, with which searches are compared."""


@baseline.command("set")
@click.argument("search", metavar="TRIAL", help="The trial: mnist/stage-02/7.")
@options.storage
@options.output
def set_baseline(search: str, storage: str | None, output: Format) -> None:
    """Make a trial the baseline for its data and metric, in place of an earlier one."""
    of = Search(search, storage=storage).set_baseline()
    if output != "table":
        emit_record({"baseline": of.name, "score": of.score}, output)
        return
    compare = command(Action("compare", {"search": "SEARCH", "storage": storage}))
    say(f"{of.name} ({of.stage.metric} {of.score:.4g}) is the baseline; {compare} compares a search with it")
