"""``hpsearch compare``: two searches, or two stages, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.options import Format, FormatOption, Storage, storage_url

if TYPE_CHECKING:
    from hpsearch.search.comparison import Comparison, Entrant, Side
    from hpsearch.store import Store
    from hpsearch.store.queries import Columns

_QUARTILES = ("lowest", "lower_quartile", "median", "upper_quartile", "highest")
_SIDE = "A search (mnist), a stage (mnist/stage-02), or either in another database: FILE::mnist."


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help="Likewise.")],
    storage: Storage = None,
    other_storage: Annotated[
        str | None, typer.Option(help="The database of B. [default: that of A]", show_default=False)
    ] = None,
    output: FormatOption = Format.table,
) -> None:
    """Compare two searches or stages: the best of each, all their trials, their cost, and what chance explains."""
    from hpsearch.cli.output import emit, emit_object, say
    from hpsearch.search.comparison import compare as compared
    from hpsearch.serialization import to_plain

    opened: dict[str, Store] = {}
    try:
        first = _entrant(a, storage_url(storage), opened)
        second = _entrant(b, storage_url(storage) if other_storage is None else other_storage, opened)
        found = compared(first, second)
    finally:
        for store in opened.values():
            store.close()
    match output:
        case Format.json:
            emit_object(to_plain(found))
        case Format.csv:
            emit(_numbers(found), output)
        case Format.table:
            emit(_table(found), output)
            say()
            for sentence in found.sentences:
                say(f"  {sentence}")
            for remark in found.remarks:
                say(f"  note: {remark}")


def _entrant(text: str, storage: str, opened: dict[str, Store]) -> Entrant:
    from hpsearch.search.comparison import Entrant
    from hpsearch.search.stage import pick, resolve_stage, stages_of
    from hpsearch.store import open_store

    where, mark, name = text.rpartition("::")
    place = where if mark else storage
    # Without a name (FILE::), the only search in that database.
    search, number = resolve_stage(name or None)
    if place not in opened:
        opened[place] = open_store(place)
    store = opened[place]
    stages = stages_of(store, search)
    if number is not None:
        stages = [pick(stages, number)]
    return Entrant(store, stages[0].search if number is None else stages[0].name, stages)


def _table(found: Comparison) -> Columns:
    sides = (found.a, found.b)
    best = 4 if found.a.direction == "maximize" else 0
    rows: dict[str, list[str | None]] = {
        "metric": [side.metric for side in sides],
        "best": [f"{side.best:.4g}" for side in sides],
        "95 % interval": [_interval(side) for side in sides],
        "of trial": [_trial(side) for side in sides],
        **{
            name.replace("_", " "): [f"{side.quartiles[i]:.4g}" for side in sides]
            for i, name in reversed(list(enumerate(_QUARTILES)))
            if i != best  # it stands above
        },
        "finished trials": [str(side.finished) for side in sides],
        "failed": [_share(side.failed, side) for side in sides],
        "stopped early": [_share(side.pruned, side) for side in sides],
        "epochs": [f"{side.epochs:,}" if side.epochs else None for side in sides],
        "seconds": [None if side.seconds is None else f"{side.seconds:.4g}" for side in sides],
    }
    headings = [f"A: {found.a.name}", f"B: {found.b.name}"]
    return {"": list(rows), **{heading: [row[i] for row in rows.values()] for i, heading in enumerate(headings)}}


def _interval(side: Side) -> str | None:
    return None if side.interval is None else f"{side.interval.low:.2f} .. {side.interval.high:.2f}"


def _trial(side: Side) -> str:
    return str(side.best_trial) if side.best_stage == side.name else f"{side.best_trial} of {side.best_stage}"


def _share(count: int, side: Side) -> str:
    return f"{count} ({count / side.finished:.0%})" if count else "0"


def _numbers(found: Comparison) -> Columns:
    """One row a side, with every digit."""
    from dataclasses import asdict

    from hpsearch.reports.tables import by_column

    rows: list[dict[str, Any]] = []
    for label, side in (("A", found.a), ("B", found.b)):
        row = asdict(side)
        interval, quartiles = row.pop("interval"), row.pop("quartiles")
        row |= {f"interval_{end}": None if interval is None else interval[end] for end in ("low", "high")}
        row |= dict(zip(_QUARTILES, quartiles, strict=True))
        rows.append({"side": label, **row})
    return by_column(rows)
