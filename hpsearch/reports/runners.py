"""Who ran the trials, on which machine, with which version."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hpsearch.store import Owner
    from hpsearch.store.base import Owned
    from hpsearch.store.frames import Columns

RECENT = 10_000
"""Of so many trials of a stage, the last ones, people are told who ran them."""
_MOST = 5
"""So many machines are named in one line."""


def run_by(finishers: Mapping[Owner, int]) -> list[dict[str, Any]]:
    """Machines and versions with how many trials each finished, most first; for programs."""
    return [
        {"host": host, "hpsearch": hpsearch or None, "numpy": numpy or None, "trials": many}
        for (host, hpsearch, numpy), many in _machines([finishers])
    ]


def run_by_line(finishers: Iterable[Mapping[Owner, int]], *, recent: bool = False) -> str | None:
    """The same of several stages together, for people; None where one machine with one version ran all.

    Args:
        finishers: Who finished how many, of each stage.
        recent: Whether a stage has more than the `RECENT` trials that were looked at.
    """
    found = _machines(finishers)
    if len(found) < 2:
        return None
    # Versions are worth the room only where they differ.
    several = len({tuple(versions) for (_, *versions), _ in found}) > 1
    words = [f"{host} {many}{_versions(hpsearch, numpy) if several else ''}" for (host, hpsearch, numpy), many in found]
    more = f" and {len(words) - _MOST} more" if len(words) > _MOST else ""
    those = f" (the last {RECENT:,} of a stage)" if recent else ""
    return f"run by{those}: {', '.join(words[:_MOST])}{more}"


def owned_columns(owned: Mapping[int, Owned], numbers: Sequence[int]) -> Columns:
    """Of each trial the machine that runs it or ran it, with which version, and how often it was begun."""
    found = [owned.get(number) for number in numbers]
    owners = [None if one is None else one.owner for one in found]
    return {
        "ran_by": [None if owner is None else owner.host for owner in owners],
        "hpsearch": [None if owner is None else owner.hpsearch or None for owner in owners],
        "numpy": [None if owner is None else owner.numpy or None for owner in owners],
        "begun": [0 if one is None else one.begun for one in found],
    }


def _machines(finishers: Iterable[Mapping[Owner, int]]) -> list[tuple[tuple[str, str, str], int]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for of_stage in finishers:
        for owner, many in of_stage.items():
            found[owner.host, owner.hpsearch, owner.numpy] += many
    return found.most_common()


def _versions(hpsearch: str, numpy: str) -> str:
    return f" (hpsearch {hpsearch}, NumPy {numpy})" if hpsearch else " (version not kept)"
