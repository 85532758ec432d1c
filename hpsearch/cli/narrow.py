"""``hpsearch narrow``: compute the next stage's ranges."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.options import Format, FormatOption, SearchOrStage, StageNumber, Storage, storage_url
from hpsearch.cli.render import word

_MOVES = {
    "low": "low moves",
    "high": "high moves",
    "low_often": "low moves often",
    "high_often": "high moves often",
}

if TYPE_CHECKING:
    from hpsearch.search.narrowing import NextStage
    from hpsearch.store.queries import Columns


class Source(StrEnum):
    """What says which trials are the best."""

    trials = "trials"
    confirm = "confirm"


def narrow(
    search: SearchOrStage = None,
    top: Annotated[
        int | None, typer.Option(help="How many of the best trials to use. [default: 5]", show_default=False)
    ] = None,
    quantile: Annotated[float | None, typer.Option(help="Or which fraction of them.")] = None,
    source: Annotated[
        Source, typer.Option("--from", help="The best by their scores, or by their means in the confirmation.")
    ] = Source.trials,
    stage: StageNumber = None,
    expand: Annotated[bool, typer.Option("--expand", help="Widen where the score still rises to an edge.")] = False,
    branch: Annotated[
        bool, typer.Option("--branch", help="Narrow an earlier stage although a later one has trials.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")] = False,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Compute the next stage's ranges from the best trials, with the evidence for each."""
    from hpsearch.cli.output import emit, emit_object
    from hpsearch.search.narrowing import DEFAULT_TOP, narrow_stage
    from hpsearch.search.stage import resolve_stage, stages_of
    from hpsearch.serialization import to_plain
    from hpsearch.store import open_store

    search, stage = resolve_stage(search, stage)
    store = open_store(storage_url(storage), write=not dry_run)
    try:
        narrowed = narrow_stage(
            store,
            stages_of(store, search),
            number=stage,
            top=DEFAULT_TOP if top is None and quantile is None and source is Source.trials else top,
            quantile=quantile,
            expand=expand,
            branch=branch,
            dry_run=dry_run,
            confirmed=source is Source.confirm,
        )
    finally:
        store.close()
    match output:
        case Format.json:
            next_stage = None if narrowed.stage is None else narrowed.stage.name
            moves = {name: of.movement for name, of in narrowed.narrowing.ranges.items() if of.movement is not None}
            found = {**to_plain(narrowed.narrowing, word=word), "movement": moves, "remarks": narrowed.remarks}
            emit_object(to_plain({"parent": narrowed.parent.name, "stage": next_stage, **found}, word=word))
        case Format.csv:
            emit(_table(narrowed) | _movement(narrowed), output)
        case Format.table:
            show(narrowed)
            _say_what_is_next(narrowed, storage)


def _say_what_is_next(narrowed: NextStage, storage: str | None) -> None:
    from hpsearch.cli.output import say
    from hpsearch.commands import Commands

    if narrowed.stage is None:
        say("nothing was written (--dry-run)")
        return
    how = "replaced" if narrowed.replaced else "made"
    say(f"{how} {narrowed.stage.name}; next: {Commands(narrowed.stage.search, storage)('start')}")


def show(narrowed: NextStage) -> None:
    """Print what a narrowing found: the ranges, and the evidence in words."""
    from hpsearch.cli.output import emit, say
    from hpsearch.text import counted

    used, pruned = ", ".join(str(number) for number in narrowed.narrowing.used), narrowed.pruned
    everyone = narrowed.confirmed is None
    of = counted(narrowed.finished, "trial") if everyone else counted(narrowed.confirmed or 0, "confirmed trial")
    say(
        f"{narrowed.parent.name}: ranges of the best {len(narrowed.narrowing.used)} "
        f"of {of} ({used})"
        + (f"; {pruned} {'was' if pruned == 1 else 'were'} stopped early" if pruned and everyone else "")
    )
    say()
    emit(_table(narrowed), Format.table)
    say()
    for name, made in narrowed.narrowing.ranges.items():
        for sentence in made.sentences:
            say(f"  {name}: {sentence.worded(word)}", hanging=4)
        if made.movement is not None:
            say(f"  {name}: {made.movement.sentence(made.before)}", hanging=4)
    for remark in narrowed.remarks:
        say(f"  {remark.worded(word)}", hanging=4)
    say()


def _table(narrowed: NextStage) -> Columns:
    from hpsearch.reports.tables import by_column
    from hpsearch.space import describe

    return by_column(
        [
            {
                "parameter": name,
                "range": describe(made.before),
                "next range": describe(made.after),
                "kept": f"{made.kept:.0%}",
                "p": made.evidence,
            }
            for name, made in narrowed.narrowing.ranges.items()
        ]
    )


def _movement(narrowed: NextStage) -> Columns:
    """How far the ends would move, for programs: on the parameter's own scale, with the share of clear moves."""
    found = [made.movement for made in narrowed.narrowing.ranges.values()]
    return {heading: [getattr(of, key, None) for of in found] for key, heading in _MOVES.items()}
