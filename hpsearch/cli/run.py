"""``hpsearch start`` and ``hpsearch confirm``: run trials."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from hpsearch.api import Search
from hpsearch.cli import options
from hpsearch.cli.options import INT, Command, Format
from hpsearch.cli.progress import Display
from hpsearch.cli.render import emit, emit_object, say, worded
from hpsearch.reports.tables import by_column, used_values
from hpsearch.text import counted

if TYPE_CHECKING:
    from hpsearch.search.confirmation import Confirmation, Confirmed


@click.command(cls=Command)
@click.argument("study", required=False, help="Study file, its name, or a stage (mnist/stage-02). [default: mnist]")
@click.option("--trials", type=INT, help="Finished trials that the stage is to have. [default: the study file's]")
@options.stage
@click.option("--stages", type=INT, help="Run the whole workflow up to this many stages, narrowing in between.")
@click.option("--top", type=INT, help="With --stages: best trials that narrowing uses. [default: 5]")
@options.flag("--expand", "With --stages: widen a range whose edge the score still improves towards.")
@click.option("--seed", type=INT, help="Seed of a new search. [default: the study file's]")
@options.jobs
@options.engine
@options.scheduler
@options.lanes
@options.pruner
@options.storage
@options.data_dir
@options.output
def start(study: str | None, storage: str | None, output: Format, **request: Any) -> None:
    """Run a stage until it has the requested number of finished trials.

    Trials that have finished before count, and an interrupted run goes on with the same command.
    """
    with Display(output) as display:
        Search(study, storage=storage).start(**request, listener=display)
        display.done()


@click.command(cls=Command)
@options.search_or_stage
@click.option("--stage", type=INT, help="Stage number. [default: the latest that has trials]")
@click.option("--top", type=INT, default=5, help="How many of the stage's best trials.")
@click.option("--repeats", type=INT, default=10, help="How often each is to have been run again.")
@options.jobs
@options.engine
@options.scheduler
@options.lanes
@options.storage
@options.data_dir
@options.output
def confirm(search: str | None, storage: str | None, output: Format, **request: Any) -> None:
    """Run the best trials again with other seeds and rank them by their mean scores."""
    with Display(output, scores=False) as display:
        done = Search(search, storage=storage).confirm(**request, listener=display)
    if output == "json":
        counts = done.summary.counts
        emit_object(
            {
                "confirmation": done.stage.name,
                "stage": done.parent.name,
                "metric": done.parent.metric,
                "level": next((row.interval.level for row in done.ranking if row.interval is not None), None),
                "finished": counts.finished,
                "failed": counts.failed,
                "run_now": done.summary.recorded,
                "seconds": round(done.summary.seconds, 3),
                "settings": [
                    {**_row(done, row), "scores": dict(sorted(row.scores.items())), "params": row.setting.params}
                    for row in done.ranking
                ],
            }
        )
    elif output == "csv":
        emit(by_column([{**_row(done, row), **row.setting.params} for row in done.ranking]), output)
    else:
        _show(done)
        say(f"next: {'    '.join(map(worded, done.following))}")


def _row(done: Confirmation, row: Confirmed) -> dict[str, Any]:
    """Return everything known of a setting but its values."""
    return {
        "stage": done.parent.name,
        "trial": row.setting.trial,
        "mean": row.mean,
        "low": None if row.interval is None else row.interval.low,
        "high": None if row.interval is None else row.interval.high,
        "covers": row.covers,
        "repeats": row.repeats,
        "failed": row.failed,
        "original": row.setting.score,
        "p": row.p,
        "compared": row.compared,
        "distinguishable": row.distinguishable,
        "mean_validation_loss": row.mean_loss if math.isfinite(row.mean_loss) else None,
    }


def _show(done: Confirmation) -> None:
    summary, ranking = done.summary, done.ranking
    took = (
        f"{summary.recorded} of them now, in {summary.seconds:.1f} s" if summary.recorded else "nothing was left to do"
    )
    failed = f" ({summary.counts.failed} failed)" if summary.counts.failed else ""
    say(f"{done.stage.name} has {counted(summary.counts.finished, 'finished trial')}{failed}; {took}")
    if not ranking:
        say("no trial has a score; every repeat failed")
        return
    say(f"the best trials of {done.parent.name}, run again with other seeds:")
    say()
    emit(_table(done), "table")
    say()
    for sentence in _sentences(done):
        say(sentence)


def _table(done: Confirmation) -> dict[str, list[Any]]:
    rows = []
    for row in done.ranking:
        ends = row.interval
        rows.append(
            {
                "trial": row.setting.trial,
                "mean": row.mean,
                "95 % interval": None if ends is None else f"{ends.low:.3f} .. {ends.high:.3f}",
                "score before": row.setting.score,
                "repeats": row.repeats,
                "failed": row.failed,
                "p": None if row.p is None else float(f"{row.p:.2g}"),
            }
            | used_values(done.parent, row.setting.params)
        )
    columns = by_column(rows)
    if len(set(columns["repeats"])) == 1:
        del columns["repeats"]
    for name, empty in (("failed", 0), ("p", None)):
        if set(columns[name]) == {empty}:
            del columns[name]
    return columns


def _sentences(done: Confirmation) -> list[str]:
    """Return sentences that explain the table."""
    ranking = done.ranking
    first, others = ranking[0], ranking[1:]
    examples = done.stage.sizes.get("validation")
    repeats = counted(first.repeats, "repeat") if len({row.repeats for row in ranking}) == 1 else "its repeats"
    same = f" on the same {counted(examples, 'validation example')}" if examples else ""
    sentences = [f"mean: {done.parent.metric} over {repeats}{same}"]
    if first.covers == "seeds":
        sentences.append("the interval covers other seeds, not other validation examples")
    else:
        sentences.append("the interval covers other seeds and other validation examples")
    tested = [row for row in others if row.p is not None]
    worse = [str(row.setting.trial) for row in tested if row.distinguishable]
    name = f"trial {first.setting.trial}"
    if worse and len(worse) == len(others):
        sentences.append(f"{name} is significantly better than all the others")
    elif worse:
        which = f"trials {', '.join(worse)}" if len(worse) > 1 else f"trial {worse[0]}"
        sentences.append(f"{name} is significantly better than {which}; the rest are statistically tied with it")
    elif tested:
        sentences.append(f"all others are statistically tied with {name}")
    elif others:
        sentences.append("too few repeats in common to compare them; use --repeats 4 or more")
    if tested:
        sentences.append("p: two-sided, Bonferroni-adjusted, against the first")
        if any(row.compared == "seeds" for row in tested):
            sentences.append("p holds for these validation examples alone")
    drop = sum(row.setting.score - row.mean for row in ranking) / len(ranking)
    if done.parent.direction == "minimize":
        drop = -drop
    if drop > 0:
        better = "higher" if done.parent.direction == "maximize" else "lower"
        sentences.append(f"the scores they were selected by were {drop:.2g} {better} on average: selection bias")
    return sentences
