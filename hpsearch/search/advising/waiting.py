"""What runs those trials again that wait for it, after a repair has released them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.commands import command_line

if TYPE_CHECKING:
    from hpsearch.store import Store


def to_run_again(store: Store, storage: str | None) -> list[str]:
    """The commands to type so that each study has again as many trials as it had.

    Args:
        store: The database, mended.
        storage: How the user calls it; None: the usual one.

    Returns:
        A command for each stage and confirmation of which trials wait. A stage that another program made has none:
        nothing here trains it.
    """
    commands = []
    for stage in (*store.stages(), *store.confirmations()):
        counts = store.counts(stage)
        if not counts.waiting or stage.foreign:
            continue
        of_stage = ("--stage", str(stage.number))
        if stage.roster is not None:
            commands.append(command_line("confirm", stage.search, storage, *of_stage))
        else:
            commands.append(command_line("start", stage.search, storage, *of_stage, "--trials", str(counts.rows)))
    return commands
