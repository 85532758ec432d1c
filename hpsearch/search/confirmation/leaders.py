"""Which trials a confirmation puts first, for narrowing in place of those with the best scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput, NotEnoughTrials
from hpsearch.records import confirmation_name
from hpsearch.search.confirmation.tally import overview
from hpsearch.search.stage import commands_for, confirmation_of
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.records import Stage
    from hpsearch.search.confirmation.tally import Repeats
    from hpsearch.store import Store


def leaders_of(store: Store, parent: Stage, *, top: int | None, quantile: float | None) -> Sequence[Repeats]:
    """The settings of a stage's confirmation, best first.

    Args:
        store: The study database.
        parent: The stage.
        top: How many of them narrowing is to use; None for what there is.
        quantile: Not to be given: it is a share of many trials.

    Raises:
        UnknownSearch: The stage has no confirmation.
        NotEnoughTrials: It has fewer settings than asked for.
        BadInput: A quantile.
    """
    if quantile is not None:
        raise BadInput(f"--quantile {quantile} with --from confirm: few are confirmed; give --top")
    confirmation = confirmation_of(store, parent)
    seen, commands = overview(store, confirmation), commands_for(store, parent.search)
    if seen.finished < seen.places:
        raise NotEnoughTrials(
            f"{confirmation.name} is not complete: {seen.finished} of {counted(seen.places, 'trial')} have "
            f"finished; run `{commands('confirm', *seen.as_begun)}` to its end"
        )
    found = seen.order
    asked = max(2, top or 0)
    if len(found) < asked:
        raise NotEnoughTrials(
            f"--top {asked} of {counted(len(found), 'confirmed trial')}; give a smaller --top, or first "
            f"`{commands('confirm', '--stage', str(parent.number), '--top', str(asked))}`"
        )
    return found


def fewer(settings: int) -> int | None:
    """How many of so many confirmed settings to narrow by, so that the confirmation chooses; None: of too few none."""
    return (settings + 1) // 2 if settings >= 3 else None


def confirmed_rule(parent: Stage, leaders: Sequence[Repeats]) -> dict[str, Any]:
    """What a narrowing by a confirmation keeps of it, as JSON-able data."""
    means = [
        {"trial": one.setting.trial, "mean": one.mean, "repeats": len(one.scores), "failed": one.failed}
        for one in leaders
    ]
    return {"from": confirmation_name(parent.search, parent.number), "confirmed": means}
