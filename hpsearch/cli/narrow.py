"""``hpsearch narrow`` and ``checklist``: conclusions from the trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hpsearch import representations
from hpsearch.api import Search
from hpsearch.cli import options
from hpsearch.cli.options import Format
from hpsearch.cli.render import emit, emit_object, say
from hpsearch.objectives.kinds import foreign
from hpsearch.records import Action
from hpsearch.reports.tables import checklist_table
from hpsearch.search.stage import go_on
from hpsearch.serialization import to_plain
from hpsearch.text import counted
from hpsearch.wording import command, word, worded

if TYPE_CHECKING:
    from hpsearch.search.narrowing import NextStage

_DEFAULTS = {"source": "trials", "rule": "surrogate"}  # of options that are not repeated in advice
_MARKS = {"ok": "x", "act": "!", "unknown": "?"}  # by verdict: a box that is ticked or not


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
    if output == "json":
        emit_object(representations.narrowed(narrowed))
    elif output == "csv":
        emit(representations.narrowed_columns(narrowed), output)
    else:
        show(narrowed)
        if narrowed.stage is None:
            say("nothing was written (--dry-run)")
        else:
            made = "replaced" if narrowed.replaced else "made"
            start = command(Action("start", {"search": narrowed.stage.search, "storage": storage}))
            following = go_on(narrowed.parent) if foreign(narrowed.parent) else start
            if not request["expand"] and any(range_.widens for range_ in narrowed.narrowing.ranges.values()):
                given = {name: value for name, value in request.items() if value != _DEFAULTS.get(name)}
                again = Action("narrow", {"search": search, **given, "expand": True, "storage": storage})
                following = f"{command(again)} (replaces it), or {following}"
            say(f"{made} {narrowed.stage.name}; next: {following}")


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
    emit(representations.narrowed_columns(narrowed), "table")
    say()
    for name, range_ in narrowed.narrowing.ranges.items():
        for sentence in range_.sentences:
            say(f"  {name}: {worded(sentence)}", hanging=4)
    for remark in narrowed.remarks:
        say(f"  {worded(remark)}", hanging=4)
    say()


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
    seen = Search(search, storage=storage).checklist(top=top)
    if output == "json":
        emit_object(to_plain(seen, word=word))
    elif output == "csv":
        emit(checklist_table(seen, word), output)
    else:
        say(seen.stage)
        for question in seen.questions:
            say()
            say(f"[{_MARKS[question.verdict]}] {question.question}", hanging=4)
            for answer in question.answers:
                say(f"    - {worded(answer)}", hanging=6)
            for what, action in {"see": question.figure, "do": question.action}.items():
                if action is not None:
                    say(f"    {what}: {worded(action)}", hanging=9)
        say()
        say(worded(seen.next.sentence))
