"""``hpsearch narrow``, ``checklist`` and ``compare``: conclusions from the trials."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from hpsearch.api import Search
from hpsearch.cli import options
from hpsearch.cli.options import Format
from hpsearch.cli.render import command, emit, emit_object, say, word, worded
from hpsearch.objectives.kinds import foreign
from hpsearch.records import Action
from hpsearch.reports.tables import by_column, checklist_table
from hpsearch.search.stage import go_on
from hpsearch.serialization import to_plain
from hpsearch.space import describe
from hpsearch.text import counted, rounded

if TYPE_CHECKING:
    from hpsearch.search.comparison import Comparison, Side
    from hpsearch.search.narrowing import NextStage
    from hpsearch.store.queries import Columns

_MOVES = {"low": "low moves", "high": "high moves", "low_often": "low moves often", "high_often": "high moves often"}
_MARKS = {"ok": "x", "act": "!", "unknown": "?"}  # by verdict: a box that is ticked or not
_QUARTILES = ("lowest", "lower_quartile", "median", "upper_quartile", "highest")


@click.command()
@options.search_or_stage
@click.option("--top", type=int, help="How many of the best trials to use. [default: 5]")
@click.option("--quantile", type=float, help="Or which fraction of them.")
@click.option(
    "--from",
    "source",
    type=click.Choice(["trials", "confirm"]),
    default="trials",
    help="The best by their scores, or by their means in the confirmation.",
)
@options.stage
@options.flag("--expand", "Widen a range whose edge the score still improves towards.")
@click.option(
    "--rule",
    type=click.Choice(["surrogate", "order-statistics"]),
    default="surrogate",
    help="Keep all values that may be as good as the best, or only where the best trials lie.",
)
@options.flag("--regardless", "Narrow ranges without evidence too.")
@options.epochs
@options.flag("--branch", "Narrow an earlier stage although a later one has trials.")
@options.flag("--dry-run", "Only show what would happen.")
@options.storage
@options.output
def narrow(search: str | None, storage: str | None, output: Format, **request: Any) -> None:
    """Compute the next stage's ranges from the best trials, with the evidence."""
    narrowed = Search(search, storage=storage).narrow(**request)
    moves = {name: range_.movement for name, range_ in narrowed.narrowing.ranges.items()}
    if output == "json":
        emit_object(
            {
                "parent": narrowed.parent.name,
                "stage": None if narrowed.stage is None else narrowed.stage.name,
                **to_plain(narrowed.narrowing, word=word),
                "movement": {name: move for name, move in moves.items() if move is not None},
                "remarks": narrowed.remarks,
            }
        )
    elif output == "csv":
        ends = {heading: [getattr(move, end, None) for move in moves.values()] for end, heading in _MOVES.items()}
        emit(_ranges(narrowed) | ends, output)
    else:
        show(narrowed)
        if narrowed.stage is None:
            say("nothing was written (--dry-run)")
        else:
            made = "replaced" if narrowed.replaced else "made"
            start = command(Action("start", {"search": narrowed.stage.search, "storage": storage}))
            say(f"{made} {narrowed.stage.name}; next: {go_on(narrowed.parent) if foreign(narrowed.parent) else start}")


def show(narrowed: NextStage) -> None:
    """Print the ranges and the evidence for each."""
    used, pruned = ", ".join(map(str, narrowed.narrowing.used)), narrowed.pruned
    if narrowed.confirmed is None:
        of, note = counted(narrowed.finished, "trial"), f"; {pruned} pruned" if pruned else ""
    else:
        of, note = counted(narrowed.confirmed, "confirmed trial"), ""
    rule, best = narrowed.narrowing.rule, f"the best {len(narrowed.narrowing.used)}"
    if "scientific" in rule:
        share = f"{rule['quantile']:.0%}" if rule["top"] is None else rule["top"]
        best = f"the best {share} for each {' and '.join(rule['scientific'])}, out"
    say(f"{narrowed.parent.name}: ranges of {best} of {of} ({used}){note}")
    say()
    emit(_ranges(narrowed), "table")
    say()
    for name, range_ in narrowed.narrowing.ranges.items():
        for sentence in range_.sentences:
            say(f"  {name}: {worded(sentence)}", hanging=4)
        if range_.movement is not None:
            say(f"  {name}: {range_.movement.sentence(range_.before)}", hanging=4)
    for remark in narrowed.remarks:
        say(f"  {worded(remark)}", hanging=4)
    say()


def _ranges(narrowed: NextStage) -> Columns:
    return by_column(
        [
            {
                "parameter": name,
                "range": describe(range_.before),
                "next range": describe(range_.after),
                "kept": f"{range_.kept:.0%}",
                "p": range_.evidence,
            }
            for name, range_ in narrowed.narrowing.ranges.items()
        ]
    )


@click.command()
@options.search
@click.option("--top", type=options.Range(2), default=5, help="How many of the best trials to call the best.")
@options.storage
@options.output
def checklist(search: str | None, top: int, storage: str | None, output: Format) -> None:
    """Answer what to ask of a search before its results are believed.

    [x]: nothing is to be done; [!]: something is; [?]: the trials do not tell. Each with the figure that shows it and
    the command that acts on it, and at the end the next step.
    """
    asked = Search(search, storage=storage).checklist(top=top)
    if output == "json":
        emit_object(asked.plain(word))
    elif output == "csv":
        emit(checklist_table(asked, word), output)
    else:
        say(asked.stage)
        for question in asked.questions:
            say()
            say(f"[{_MARKS[question.verdict]}] {question.question}", hanging=4)
            for answer in question.answers:
                say(f"    - {worded(answer)}", hanging=6)
            for what, action in {"see": question.figure, "do": question.action}.items():
                if action is not None:
                    say(f"    {what}: {worded(action)}", hanging=9)
        say()
        say(worded(asked.next))


@click.command()
@click.argument("a", metavar="A", help="A search (mnist), a stage (mnist/stage-02), or either elsewhere: FILE::mnist.")
@click.argument("b", metavar="B", help="Likewise.")
@options.storage
@click.option("--other-storage", help="The database of B. [default: that of A]")
@options.output
def compare(a: str, b: str, storage: str | None, other_storage: str | None, output: Format) -> None:
    """Compare two searches or stages.

    The best trial of each, all their trials, their cost, and what chance explains.
    """
    result = _named(a, storage).compare(_named(b, storage if other_storage is None else other_storage))
    if output == "json":
        emit_object(result)
    elif output == "csv":
        emit(_numbers(result), output)
    else:
        emit(_sides(result), output)
        say()
        for sentence in result.sentences:
            say(f"  {sentence}", hanging=4)
        for remark in result.remarks:
            say(f"  note: {worded(remark)}", hanging=4)


def _named(text: str, storage: str | None) -> Search:
    """Return a search by its name, which may have its database before it; without a name, the only search there."""
    where, mark, name = text.rpartition("::")
    return Search(name or None, storage=where if mark else storage)


def _sides(result: Comparison) -> Columns:
    sides = (result.a, result.b)
    best = 4 if result.a.direction == "maximize" else 0
    rows: dict[str, list[str | None]] = {
        "metric": [side.metric for side in sides],
        "best": [f"{side.best:.4g}" for side in sides],
        "95 % interval": [
            None if side.interval is None else f"{rounded(side.interval.low, 2)} .. {rounded(side.interval.high, 2)}"
            for side in sides
        ],
        "of trial": [
            f"{side.best_trial}{'' if side.best_stage == side.name else f' of {side.best_stage}'}" for side in sides
        ],
        **{
            name.replace("_", " "): [f"{side.quartiles[i]:.4g}" for side in sides]
            for i, name in reversed(list(enumerate(_QUARTILES)))
            if i != best  # it stands above
        },
        "finished trials": [str(side.finished) for side in sides],
        "failed": [_share(side.failed, side) for side in sides],
        "pruned": [_share(side.pruned, side) for side in sides],
        "epochs": [f"{side.epochs:,}" if side.epochs else None for side in sides],
        "seconds": [None if side.seconds is None else f"{side.seconds:.4g}" for side in sides],
    }
    headings = [f"A: {result.a.name}", f"B: {result.b.name}"]
    return {"": list(rows), **{heading: [row[i] for row in rows.values()] for i, heading in enumerate(headings)}}


def _share(count: int, side: Side) -> str:
    return f"{count} ({count / side.finished:.0%})" if count else "0"


def _numbers(result: Comparison) -> Columns:
    """Return a row a side, with every digit."""
    rows: list[dict[str, Any]] = []
    for label, side in (("A", result.a), ("B", result.b)):
        row = asdict(side)
        interval, quartiles = row.pop("interval"), row.pop("quartiles")
        row |= {f"interval_{end}": None if interval is None else interval[end] for end in ("low", "high")}
        rows.append({"side": label, **row, **dict(zip(_QUARTILES, quartiles, strict=True))})
    return by_column(rows)
