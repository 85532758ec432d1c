"""``hpsearch status``, ``trials`` and ``best``: what is in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.options import Format, FormatOption, Search, SearchOrStage, StageNumber, Storage, storage_url
from hpsearch.objectives import kinds
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.records import Stage
    from hpsearch.search.best import BestTrial
    from hpsearch.statistics.intervals import Interval
    from hpsearch.store import Store
    from hpsearch.store.queries import Columns


class State(StrEnum):
    """Optuna's trial states."""

    complete = "complete"
    fail = "fail"
    pruned = "pruned"
    running = "running"
    waiting = "waiting"


@contextmanager
def _opened(storage: str | None) -> Iterator[Store]:
    from hpsearch.store import open_store

    store = open_store(storage_url(storage))
    try:
        yield store
    finally:
        store.close()


def status(
    search: Search = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it live while others run it; Ctrl-C ends the watching.")
    ] = False,
    every: Annotated[
        float | None,
        typer.Option(help="With --watch: seconds between looks. [default: 1]", show_default=False),
    ] = None,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="With --watch: end when the stage has its trials and nobody runs it.")
    ] = False,
    trials: Annotated[
        int | None,
        typer.Option(
            help="With --watch: finished trials that the stage is to have. [default: the study file's]",
            show_default=False,
        ),
    ] = None,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Show every stage: its trials by state, its best score, its ranges; and confirmations. Live with --watch."""
    from hpsearch.cli import watch as watching
    from hpsearch.search.stage import resolve_search

    search = resolve_search(search)

    if watch:
        watching.watch(search, storage, output, every=every, trials=trials, until_done=until_done)
        return
    watching.check_unused(every=every, trials=trials, until_done=until_done)
    from hpsearch.cli.output import emit, say
    from hpsearch.reports.tables import (
        RECENT,
        confirmations_table,
        pruning_lines,
        ranges_table,
        run_by,
        run_by_line,
        status_table,
    )
    from hpsearch.search.stage import stages_of

    with _opened(storage) as store:
        stages = stages_of(store, search) if search else store.stages()
        if not stages:
            stages_of(store, search)
        rows = []
        for stage in stages:
            top = store.columns(stage, top=1)["score"]
            rows.append((stage, store.counts(stage), top[0] if top else None))
        among = RECENT if output is Format.table else None
        finishers = [store.finishers(stage, among=among) for stage in stages]
        confirmed = _confirmations(store, stages)
        abandoned = [
            sum(many for owner, many in store.runners(stage).items() if owner.is_gone()) if counts.running else 0
            for stage, counts, _ in rows
        ]
    table = status_table(rows, full=output is not Format.table)
    if output is not Format.table:
        table["run_by"] = [run_by(of_stage) for of_stage in finishers]
        table["abandoned"] = abandoned
        table["confirmation"] = [confirmed.get(stage.name) for stage in stages]
    emit(table, output)
    if output is Format.table:
        for line in pruning_lines(stages):
            say(line)
        recent = any(counts.rows > RECENT for _, counts, _ in rows)
        if (who := run_by_line(finishers, recent=recent)) is not None:
            say(who)
        if any(abandoned):
            say(f"of those running {sum(abandoned)} belong to a run that has died; the next start runs them again")
        if confirmed:
            say()
            emit(confirmations_table(list(confirmed.values())), output)
        say()
        emit(ranges_table(stages), output)


def _confirmations(store: Store, stages: Sequence[Stage]) -> dict[str, dict[str, Any]]:
    """Where the stages' confirmations stand, by the stages' names."""
    from hpsearch.search.best import overview

    names = {(stage.search, stage.number): stage.name for stage in stages}
    found = {}
    for confirmation in store.confirmations():
        name = names.get((confirmation.search, confirmation.number))
        if name is None:
            continue
        seen = overview(store, confirmation)
        first = seen.order[0] if seen.order else None
        found[name] = {
            "confirmation": confirmation.name,
            "stage": name,
            "settings": len(confirmation.plan.settings) if confirmation.plan else 0,
            "finished": seen.finished,
            "failed": seen.failed,
            "places": seen.places,
            "first": None if first is None else first.setting.trial,
            "mean": None if first is None else first.mean,
            "repeats": None if first is None else len(first.scores),
            "params": None if first is None else dict(first.setting.params),
        }
    return found


def trials(
    search: SearchOrStage = None,
    stage: StageNumber = None,
    top: Annotated[int | None, typer.Option(min=1, max=10**9, help="Only the best ones, best first.")] = None,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    curves: Annotated[
        bool | None,
        typer.Option(
            "--curves/--no-curves",
            help="The score by epoch, as characters on one scale. [default: in a terminal that has the room]",
            show_default=False,
        ),
    ] = None,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Show the trials of a stage, by default the latest that has any: values, score, and why one failed.

    With --top it says which ones cannot be told from the best.
    """
    from hpsearch.cli.curves import wanted, with_curves
    from hpsearch.cli.output import emit, say
    from hpsearch.errors import BadInput
    from hpsearch.reports.tables import owned_columns, trials_table
    from hpsearch.search.best import ties_of
    from hpsearch.search.stage import latest_with_trials, pick, resolve_stage, stages_of

    if top is not None and state not in (None, State.complete):
        raise BadInput(f"--top with --state {state}: only complete trials have a score; leave one out")
    search, stage = resolve_stage(search, stage)
    with _opened(storage) as store:
        stages = stages_of(store, search)
        chosen = latest_with_trials(store, stages) if stage is None else pick(stages, stage)
        states = None if state is None else (state.value.upper(),)
        found = store.columns(chosen, states=states, top=top, hits=top is not None)
        numbers = found["number"]
        points = store.points(chosen, numbers) if wanted(curves, output, len(numbers)) else None
        tied = None if top is None else ties_of(store, chosen, found)
        owned = {} if output is Format.table else store.owned(chosen, numbers)
    if output is Format.table and not found["number"]:
        say(f"{chosen.name} has no trial{' like that' if state or top else ' yet'}")
        return
    table = trials_table(chosen, found, full=output is not Format.table, tied=tied)
    if output is not Format.table:
        table |= owned_columns(owned, numbers)
    if points is not None:
        table = with_curves(table, chosen, points, output, asked=curves)
    emit(table, output, title=chosen.name)


def best(
    search: SearchOrStage = None,
    stage: Annotated[int | None, typer.Option(help="Of this stage only. [default: all]", show_default=False)] = None,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Show the best trial of a search, over all its stages or of one, and how sure it is the best."""
    from hpsearch.cli.output import emit, emit_object
    from hpsearch.reports.tables import standard_error, trials_table
    from hpsearch.search.best import best_trial
    from hpsearch.search.stage import pick, resolve_stage, stages_of, unscored

    search, stage = resolve_stage(search, stage)
    with _opened(storage) as store:
        stages = stages_of(store, search)
        found = best_trial(store, stages if stage is None else [pick(stages, stage)])
        if found is None:
            what = stages[0].search if stage is None else pick(stages, stage).name
            raise unscored(store, stages[0].search, what)
        confirmed = _confirmations(store, [found.of]).get(found.stage)
    first = {name: cells[:1] for name, cells in found.columns.items()}
    match output:
        case Format.json:
            emit_object(
                {
                    "stage": found.stage,
                    "trial": found.trial,
                    found.metric: found.score,
                    "standard_error": standard_error(found.of, found.score),
                    "interval": _plain(found.interval),
                    "corrected": found.corrected,
                    "corrected_interval": _plain(found.corrected_interval),
                    "tied": list(found.tied) if found.known else None,
                    "compared": len(found.ties),
                    "paired": found.paired,
                    "params": dict(found.params),
                    "confirmation": confirmed,
                }
            )
        case Format.csv:
            intervals = {"interval": found.interval, "corrected_interval": found.corrected_interval}
            ends: Columns = {
                f"{name}_{end}": [None if of is None else getattr(of, end)]
                for name, of in intervals.items()
                for end in ("low", "high")
            }
            more: Columns = {
                "corrected": [found.corrected],
                **ends,
                "ties": [len(found.tied) if found.known else None],
            }
            emit(trials_table(found.of, first, full=True) | more, output)
        case Format.table:
            _say_best(found)
            _say_confirmation(confirmed, found.trial)


def _plain(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else {"low": interval.low, "high": interval.high, "level": interval.level}


def _say_confirmation(confirmed: dict[str, Any] | None, trial: int) -> None:
    """Whether the confirmation of the best trial's stage agrees that it is the best."""
    from hpsearch.cli.output import say

    if confirmed is None or confirmed["first"] is None:
        return
    other = "" if confirmed["first"] == trial else ", not this one"
    say(
        f"{confirmed['confirmation']} puts trial {confirmed['first']} first{other}: mean {confirmed['mean']:.4g} "
        f"over {counted(confirmed['repeats'], 'repeat')}"
    )


def _say_best(found: BestTrial) -> None:
    from hpsearch.cli.output import say
    from hpsearch.reports.tables import with_error
    from hpsearch.space import shown

    best = found
    error = "" if best.interval is None else " (one standard error)"
    say(f"{best.stage} trial {best.trial}: {best.metric} {with_error(found.of, best.score)}{error}")
    used = kinds.used(found.of, best.params)
    for name in used:
        say(f"  {name} = {shown(best.params[name])}")
    if len(used) < len(best.params):
        say(f"drawn, but without effect in this trial: {', '.join(n for n in best.params if n not in used)}")
    if best.interval is not None:
        say(f"95 % interval {best.interval.low:.2f} .. {best.interval.high:.2f}, had it not been chosen for its score")
    if best.corrected is not None and best.corrected_interval is not None:
        inside = best.corrected_interval
        say(f"corrected for selection {best.corrected:.2f}, 95 % interval {inside.low:.2f} .. {inside.high:.2f}")
    if found.ties and found.known:
        say(found.ties_sentence())
