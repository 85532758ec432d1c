"""``hpsearch confirm``: a stage's best trials again, with fresh seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.options import (
    DataDir,
    Engine,
    Format,
    FormatOption,
    Jobs,
    Lanes,
    Scheduler,
    SearchOrStage,
    Storage,
    storage_url,
)
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.search.confirmation import Confirmation
    from hpsearch.search.ranking import Confirmed


def confirm(
    search: SearchOrStage = None,
    stage: Annotated[
        int | None,
        typer.Option("--stage", help="Stage number. [default: the latest that has trials]", show_default=False),
    ] = None,
    top: Annotated[int, typer.Option(help="How many of the stage's best trials.")] = 5,
    repeats: Annotated[int, typer.Option(help="How often each is to have been trained again.")] = 10,
    jobs: Jobs = None,
    engine: Engine = "pool",
    scheduler: Scheduler = None,
    lanes: Lanes = None,
    storage: Storage = None,
    data_dir: DataDir = None,
    output: FormatOption = Format.table,
) -> None:
    """Train the best trials again with other seeds, and rank their values by the mean scores."""
    from hpsearch.cli.progress import Display
    from hpsearch.search.stage import resolve_stage
    from hpsearch.search.workflow import ConfirmJob
    from hpsearch.search.workflow import confirm as run

    search, stage = resolve_stage(search, stage, confirmation=True)
    job = ConfirmJob(
        storage=storage_url(storage),
        search=search,
        stage=stage,
        top=top,
        repeats=repeats,
        engine=engine,
        jobs=jobs,
        scheduler=scheduler,
        lanes=lanes,
        data_dir=data_dir,
    )
    with Display(output, scores=False) as display:
        done = run(job, display)
    match output:
        case Format.json:
            from hpsearch.cli.output import emit_object

            emit_object(_plain(done))
        case Format.csv:
            from hpsearch.cli.output import emit

            emit(_columns([{**_row(done, one), **one.setting.params} for one in done.ranking]), output)
        case Format.table:
            _show(done)
            _say_what_is_next(done)


def _row(done: Confirmation, one: Confirmed) -> dict[str, Any]:
    """What is known of a setting, for programs, but for its values."""
    return {
        "stage": done.parent.name,
        "trial": one.setting.trial,
        "mean": one.mean,
        "low": None if one.interval is None else one.interval.low,
        "high": None if one.interval is None else one.interval.high,
        "covers": one.covers,
        "repeats": one.repeats,
        "failed": one.failed,
        "original": one.setting.score,
        "p": one.p,
        "compared": one.compared,
        "distinguishable": one.distinguishable,
        "mean_validation_loss": one.mean_loss if math.isfinite(one.mean_loss) else None,
    }


def _plain(done: Confirmation) -> dict[str, Any]:

    counts, summary = done.summary.counts, done.summary
    return {
        "confirmation": done.stage.name,
        "stage": done.parent.name,
        "metric": done.parent.metric,
        "level": next((one.interval.level for one in done.ranking if one.interval is not None), None),
        "finished": counts.finished,
        "failed": counts.failed,
        "run_now": summary.recorded,
        "seconds": round(summary.seconds, 3),
        "settings": [
            {**_row(done, one), "scores": {str(r): score for r, score in sorted(one.scores.items())}}
            | {"params": dict(one.setting.params)}
            for one in done.ranking
        ],
    }


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    from hpsearch.reports.tables import by_column

    return by_column(rows) if rows else {}


def _show(done: Confirmation) -> None:
    from hpsearch.cli.output import emit, say

    summary, ranking = done.summary, done.ranking
    took = (
        f"{summary.recorded} of them now, in {summary.seconds:.1f} s" if summary.recorded else "nothing was left to do"
    )
    failed = f" ({summary.counts.failed} failed)" if summary.counts.failed else ""
    say(f"{done.stage.name} has {counted(summary.counts.finished, 'finished trial')}{failed}; {took}")
    if not ranking:
        say("no trial came to a score; every repeat failed")
        return
    say(f"the best trials of {done.parent.name}, trained again with other seeds:")
    say()
    emit(_table(done), Format.table)
    say()
    for sentence in _sentences(done):
        say(sentence)


def _table(done: Confirmation) -> dict[str, list[Any]]:
    from hpsearch.reports.tables import used_values

    rows = []
    for one in done.ranking:
        ends = one.interval
        row = {
            "trial": one.setting.trial,
            "mean": one.mean,
            "95 % interval": None if ends is None else f"{ends.low:.3f} .. {ends.high:.3f}",
            "score before": one.setting.score,
            "repeats": one.repeats,
            "failed": one.failed,
            "p": None if one.p is None else float(f"{one.p:.2g}"),
        }
        rows.append(row | used_values(done.parent, one.setting.params))
    columns = _columns(rows)
    if len(set(columns["repeats"])) == 1:
        del columns["repeats"]
    if not any(columns["failed"]):
        del columns["failed"]
    if not any(p is not None for p in columns["p"]):
        del columns["p"]
    return columns


def _sentences(done: Confirmation) -> list[str]:
    """How to read the table."""

    ranking = done.ranking
    first, others = ranking[0], ranking[1:]
    images = done.stage.sizes.get("validation")
    many = counted(first.repeats, "repeat") if len({one.repeats for one in ranking}) == 1 else "its repeats"
    of_images = f" on the same {counted(images, 'validation image')}" if images else ""
    found = [f"mean: {done.parent.metric} over {many}{of_images}"]
    if first.covers == "seeds":
        found.append("the interval covers other seeds, not other validation images")
    else:
        found.append("the interval covers other seeds and other validation images")
    asked = [one for one in others if one.p is not None]
    told = [str(one.setting.trial) for one in asked if one.distinguishable]
    one = f"trial {first.setting.trial}"
    if told and len(told) == len(others):
        found.append(f"{one} can be told from all the others")
    elif told:
        which = f"trials {', '.join(told)}" if len(told) > 1 else f"trial {told[0]}"
        found.append(f"{one} can be told from {which}; the rest are tied with it")
    elif asked:
        found.append(f"no other can be told from {one}")
    elif others:
        found.append("too few repeats in common to tell them apart; --repeats 4 or more")
    if asked:
        found.append("p: how often equals differ this much from the first, all pairs counted")
        if any(one.compared == "seeds" for one in asked):
            found.append("p holds for these validation images alone")
    drop = sum(one.setting.score - one.mean for one in ranking) / len(ranking)
    if done.parent.direction == "minimize":
        drop = -drop
    if drop > 0:
        better = "higher" if done.parent.direction == "maximize" else "lower"
        found.append(f"the scores they were picked for were {drop:.2g} {better} on average: seeds' luck")
    return found


def _say_what_is_next(done: Confirmation) -> None:
    from hpsearch.cli.output import say
    from hpsearch.cli.render import command

    say(f"next: {'    '.join(map(command, done.following))}")
