"""``hpsearch delete``: remove a stage, a confirmation or a whole search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.options import Storage, storage_url

if TYPE_CHECKING:
    from hpsearch.store.care.deleting import Deletion


def delete(
    study: Annotated[str, typer.Argument(help="A stage (mnist/stage-02), a confirmation, or a whole search (mnist).")],
    with_descendants: Annotated[
        bool, typer.Option("--with-descendants", help="The stages that were narrowed from it, too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    no_backup: Annotated[bool, typer.Option("--no-backup", help="Make no copy of the database first.")] = False,
    storage: Storage = None,
) -> None:
    """Remove a stage, a confirmation or a whole search with its trials; the database is copied first."""
    from hpsearch.cli.asking import ask
    from hpsearch.cli.output import note, say
    from hpsearch.store.care.deleting import delete as remove
    from hpsearch.store.care.deleting import plan
    from hpsearch.store.care.repairing import safe_copy

    where = storage_url(storage)
    planned = plan(where, study, descendants=with_descendants)
    _show(planned)
    ask(f"type {study} to delete it:", study, yes=yes)
    if not no_backup:
        say(f"copied to {safe_copy(where, 'delete')}")
    remove(where, planned)
    say(f"deleted {study}")
    if planned.looks:
        note("if you search with these data again, remember that their test images have been looked at")


def _show(planned: Deletion) -> None:
    from hpsearch.cli.output import say
    from hpsearch.printable import counted

    say("would go:" if len(planned.studies) else "")
    width = max(len(one.name) for one in planned.studies)
    for one in planned.studies:
        why = f"  ({one.why})" if one.why else ""
        say(f"  {one.name:<{width}}  {one.trials:>5} trials{why}")
    if planned.looks:
        say(f"  what is known of {counted(planned.looks, 'look')} at the test images")
