"""``hpsearch delete``: remove a stage, a confirmation or a whole search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.options import Format, FormatOption, Storage, storage_url

if TYPE_CHECKING:
    from hpsearch.store.maintenance.delete import Deletion


def delete(
    study: Annotated[str, typer.Argument(help="A stage (mnist/stage-02), a confirmation, or a whole search (mnist).")],
    with_descendants: Annotated[
        bool, typer.Option("--with-descendants", help="The stages that were narrowed from it, too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    no_backup: Annotated[bool, typer.Option("--no-backup", help="Make no copy of the database first.")] = False,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Remove a stage, a confirmation or a whole search with its trials; the database is copied first."""
    from hpsearch.cli.asking import ask
    from hpsearch.cli.output import emit_record, note, say
    from hpsearch.store.maintenance.copies import safe_copy
    from hpsearch.store.maintenance.delete import delete as remove
    from hpsearch.store.maintenance.delete import plan

    where = storage_url(storage)
    planned = plan(where, study, descendants=with_descendants)
    table = output is Format.table
    if table:
        _show(planned)
    ask(f"type {study} to delete it:", study, yes=yes)
    copy = None if no_backup else str(safe_copy(where, "delete"))
    if table and copy is not None:
        say(f"copied to {copy}")
    remove(where, planned)
    if table:
        say(f"deleted {study}")
    else:
        gone = [{"study": one.name, "trials": one.trials} for one in planned.studies]
        emit_record({"deleted": gone, "backup": copy, "looks": planned.evaluations}, output)
    if planned.evaluations:
        note("if you search with these data again, remember that their test images have been looked at")


def _show(planned: Deletion) -> None:
    from hpsearch.cli.output import say
    from hpsearch.text import counted

    say("would go:" if len(planned.studies) else "")
    width = max(len(one.name) for one in planned.studies)
    for one in planned.studies:
        why = f"  ({one.why})" if one.why else ""
        say(f"  {one.name:<{width}}  {one.trials:>5} trials{why}")
    if planned.evaluations:
        say(f"  what is known of {counted(planned.evaluations, 'look')} at the test images")
