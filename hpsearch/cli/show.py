"""``hpsearch status``, ``trials``, ``best`` and ``recommend``: what is in the database."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from hpsearch import representations
from hpsearch.api import Search, Trials
from hpsearch.cli import options
from hpsearch.cli.options import Format
from hpsearch.cli.render import emit, emit_object, emit_record, least_width, say, screen_width, terminal
from hpsearch.errors import Argument, BadArgument, BadInput
from hpsearch.objectives.kinds import epochs, reports_noise, used
from hpsearch.records import OUTPUT, Action
from hpsearch.reports.tables import (
    RECENT,
    Scale,
    confirmations_table,
    pruning_lines,
    ranges_table,
    run_by_line,
    shows_blocks,
    status_table,
    with_error,
)
from hpsearch.space import shown
from hpsearch.text import counted, decimals, rounded
from hpsearch.wording import command, worded

if TYPE_CHECKING:
    from hpsearch.search.best import BestTrial, Overview
    from hpsearch.statistics.intervals import Interval
    from hpsearch.store.queries import Columns
    from hpsearch.store.trial_details import TrialDetails

_STATES = ("complete", "fail", "pruned", "running", "waiting")
_MANY = 500  # with more trials, reading their curves takes longer than all the rest


@click.command()
@options.search
@options.flag("--watch", "Show it live while others run it; Ctrl-C ends the watching.")
@click.option("--every", type=float, help="With --watch: seconds between reads. [default: 1]")
@options.flag("--until-done", "With --watch: end when the stage has its trials and no runner is at work.")
@click.option(
    "--trials",
    type=int,
    help="With --watch: finished trials that the stage is to have. [default: the last run's, or the study file's]",
)
@options.storage
@options.output
def status(
    search: str | None,
    watch: bool,
    every: float | None,
    until_done: bool,
    trials: int | None,
    storage: str | None,
    output: Format,
) -> None:
    """Show every stage: its trials by state, its best score, its ranges.

    Confirmations too. With --watch it is live.
    """
    if watch:
        run = terminal().watch
        run(Search(search, storage=storage), output, every=every, trials=trials, until_done=until_done)
        return
    for name, value in {"every": every and f"{every:g}", "trials": trials, "until_done": until_done or None}.items():
        if value is not None:
            plain = None if value is True else value
            raise BadArgument(name, plain, "status is shown once", "add --watch, or leave it out")
    stages = Search(search, storage=storage).status(recent=RECENT if output == "table" else None)
    if output != "table":
        emit(representations.status(stages), output)
        return
    emit(status_table([(row.stage, row.counts, row.best, row.error) for row in stages]), output)
    for line in pruning_lines([row.stage for row in stages]):
        say(line)
    who = run_by_line([row.finishers for row in stages], recent=any(row.counts.rows > RECENT for row in stages))
    if who is not None:
        say(who)
    if abandoned := sum(row.abandoned for row in stages):
        say(f"{counted(abandoned, 'running trial')} of a dead process: the next start runs them again")
    if confirmed := [row.confirmation for row in stages if row.confirmation]:
        say()
        emit(confirmations_table(confirmed), output)
    say()
    emit(ranges_table([row.stage for row in stages]), output)


@click.command()
@options.search_or_stage
@options.stage
@click.option("--top", type=options.Range(1, 10**9), help="Only the best ones, best first.")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--trial", type=int, help="All that is kept of the trial of this number, as a failed one's output.")
@click.option(
    "--curves/--no-curves",
    default=None,
    help="The score by epoch, as characters on one scale. [default: in a terminal that has the room]",
)
@options.storage
@options.output
def trials(
    search: str | None,
    stage: int | None,
    top: int | None,
    state: str | None,
    trial: int | None,
    curves: bool | None,
    storage: str | None,
    output: Format,
) -> None:
    """Show the trials of a stage: values, score, and why one failed.

    By default of the latest stage that has any. With --top it says which ones are statistically tied with the best.
    """
    full = output != "table"
    if trial is not None:
        if top is not None or state is not None:
            given = Argument("top", top) if top is not None else Argument("state", state)
            raise BadInput("{} is one trial; leave out {}", Argument("trial", trial), given)
        _show_one(Search(search, storage=storage).trial(trial, stage=stage), output)
        return
    rows = Search(search, storage=storage).trials(
        stage=stage, top=top, state=state, curves=lambda count: wants_curves(curves, output, count), owned=full
    )
    if not full and not rows.columns["number"]:
        say(f"{rows.stage.name} has no trial{' like that' if state or top else ' yet'}")
        return
    if full:
        emit(representations.trials(rows, csv=output == "csv"), output)
    else:
        emit(with_curves(rows, rows.table(full=False), requested=curves), output, title=rows.stage.name)


def _show_one(trial: TrialDetails, output: Format) -> None:
    """Print everything that is kept of a trial."""
    if output != "table":
        emit_record(representations.trial(trial), output)
        return
    say(f"{trial.stage.name} trial {trial.row['number']}: {trial.row['state'].lower()}")
    row = trial.row
    others = {key: value for key, value in trial.attributes.items() if key not in representations.ELSEWHERE}
    cells = {trial.stage.metric: row["score"], "reason": row["reason"], "seconds": row["seconds"], **trial.params}
    cells |= {"curve": " ".join(f"{point:.4g}" for point in trial.curve) or None, **others}
    for name, value in cells.items():
        if value is not None or name in trial.params:
            say(f"  {name} = {shown(value) if isinstance(value, float | bool | None) else value}")
    if text := trial.attributes.get(OUTPUT):
        say("  the end of its output:")
        for line in text.splitlines():
            say(f"    {line}")


def wants_curves(requested: bool | None, output: Format, trials: int) -> bool:
    """Return whether to read the curves of so many trials; ``requested`` is None where the user did not say."""
    if requested is not None:
        return requested
    return output == "table" and trials <= _MANY and sys.stdout.isatty()


def with_curves(trials: Trials, table: Columns, *, requested: bool | None) -> Columns:
    """Return a table of trials with a column of curves, or unchanged where the terminal is too narrow."""
    if trials.curves is None:
        return table
    curves = [trials.curves.get(number, ()) for number in table["trial"]]
    if not any(curves) and not requested:
        return table
    scale = Scale.of(curves, epochs=epochs(trials.stage), blocks=shows_blocks(sys.stdout.encoding))
    wider = table | {f"curve {scale.words}": [scale.sparkline(curve) or None for curve in curves]}
    return wider if requested or least_width(wider) <= screen_width() else table


@click.command()
@options.search_or_stage
@options.one_stage
@options.storage
@options.output
def best(search: str | None, stage: int | None, storage: str | None, output: Format) -> None:
    """Show the best trial of a search, and how sure it is the best.

    Over all its stages, or of one.
    """
    best, confirmation = Search(search, storage=storage).best_of(stage=stage)
    if output == "json":
        emit_object(representations.best(best, confirmation))
    elif output == "csv":
        emit(representations.best_columns(best), output)
    else:
        _say_best(best, storage)
        _say_confirmation(confirmation, best.trial)


def _say_best(best: BestTrial, storage: str | None) -> None:
    error = "" if best.interval is None else " (one standard error)"
    say(f"{best.stage} trial {best.trial}: {best.metric} {with_error(best.score, best.error)}{error}")
    effective = used(best.of, best.params)
    for name in effective:
        say(f"  {name} = {shown(best.params[name])}")
    if len(effective) < len(best.params):
        say(f"sampled, but without effect in this trial: {', '.join(n for n in best.params if n not in effective)}")
    if best.interval is not None:
        say(f"{_ends(best.interval)}, not corrected for selection")
    if best.corrected is not None and best.corrected_interval is not None:
        say(f"corrected for selection {rounded(best.corrected, 2)}, {_ends(best.corrected_interval)}")
    if best.ties and best.known:
        say(best.ties_sentence())
    elif best.ties and reports_noise(best.of):
        measure = command(Action("confirm", {"search": best.of.search, "storage": storage}))
        say(f"noise unknown: the best trials report neither folds nor a standard error; `{measure}` measures it")
    if best.left_out is not None:
        say(best.left_out)


def _ends(interval: Interval) -> str:
    digits = decimals((interval.high - interval.low) / 2, 2)
    return f"95 % interval {rounded(interval.low, digits)} .. {rounded(interval.high, digits)}"


def _say_confirmation(confirmation: Overview | None, trial: int) -> None:
    """Print whether the confirmation of the best trial's stage ranks it first."""
    if confirmation is None or confirmation.first is None:
        return
    first = confirmation.first
    other = "" if first.trial == trial else ", not this one"
    say(
        f"{confirmation.confirmation.name} puts trial {first.trial} first{other}: mean {first.mean:.4g} over "
        f"{counted(first.repeats, 'repeat')}"
    )


@click.command()
@options.search_or_stage
@options.one_stage
@options.storage
@options.output
def recommend(search: str | None, stage: int | None, storage: str | None, output: Format) -> None:
    """Show the values to use, and what training them again gives.

    They are chosen by all trials and confirmations instead of the best single score.
    """
    recommended = Search(search, storage=storage).recommend(stage=stage)
    if output == "json":
        emit_object(representations.recommendation(recommended))
    elif output == "csv":
        emit(representations.recommendation_columns(recommended), output)
    else:
        first, *others = recommended.sentences
        say(worded(first))
        for name, value in recommended.resolved_params.items():
            say(f"  {name} = {shown(value)}")
        for sentence in others:
            say(worded(sentence))
