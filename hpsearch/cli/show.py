"""``hpsearch status``, ``trials`` and ``best``: what is in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.options import Format, FormatOption, Search, StageNumber, Storage, storage_url

if TYPE_CHECKING:
    from hpsearch.store import Store


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


def status(search: Search = None, storage: Storage = None, output: FormatOption = Format.table) -> None:
    """Show every stage: its trials by state, its best score, its ranges."""
    from hpsearch.cli.output import emit, say
    from hpsearch.reports.tables import ranges_table, status_table
    from hpsearch.search.stage import stages_of

    with _opened(storage) as store:
        stages = stages_of(store, search) if search else store.stages()
        if not stages:
            stages_of(store, search)
        rows = []
        for stage in stages:
            top = store.columns(stage, top=1)["score"]
            rows.append((stage, store.counts(stage), top[0] if top else None))
    emit(status_table(rows, full=output is not Format.table), output)
    if output is Format.table:
        say()
        emit(ranges_table(stages), output)


def trials(
    search: Search = None,
    stage: StageNumber = None,
    top: Annotated[int | None, typer.Option(min=1, max=10**9, help="Only the best ones, best first.")] = None,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Show the trials of a stage, by default the latest that has any: values, score, and why one failed."""
    from hpsearch.cli.output import emit, say
    from hpsearch.errors import BadInput
    from hpsearch.reports.tables import trials_table
    from hpsearch.search.stage import latest_with_trials, pick, stages_of

    if top is not None and state not in (None, State.complete):
        raise BadInput(f"--top with --state {state}: only complete trials have a score; leave one out")
    with _opened(storage) as store:
        stages = stages_of(store, search)
        chosen = latest_with_trials(store, stages) if stage is None else pick(stages, stage)
        states = None if state is None else (state.value.upper(),)
        found = store.columns(chosen, states=states, top=top)
    if output is Format.table and not found["number"]:
        say(f"{chosen.name} has no trial{' like that' if state or top else ' yet'}")
        return
    emit(trials_table(chosen, found, full=output is not Format.table), output, title=chosen.name)


def best(
    search: Search = None,
    stage: Annotated[int | None, typer.Option(help="Of this stage only. [default: all]", show_default=False)] = None,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Show the best trial of a search, over all its stages or of one."""
    from hpsearch.cli.output import emit, emit_object, say
    from hpsearch.errors import NotEnoughTrials
    from hpsearch.hyperparameters import uses
    from hpsearch.reports.tables import metric_of, standard_error, trials_table
    from hpsearch.search.stage import best_of, pick, stages_of
    from hpsearch.space import shown

    with _opened(storage) as store:
        stages = stages_of(store, search)
        found = best_of(store, stages if stage is None else [pick(stages, stage)])
        if found is None:
            what = stages[0].search if stage is None else pick(stages, stage).name
            raise NotEnoughTrials(f"{what} has no trial with a score yet; run `hpsearch start` first")
    chosen, columns = found
    number, score = columns["number"][0], columns["score"][0]
    error = standard_error(chosen, score)
    params = {name: columns[f"param:{name}"][0] for name in chosen.space}
    match output:
        case Format.json:
            emit_object(
                {
                    "stage": chosen.name,
                    "trial": number,
                    metric_of(chosen): score,
                    "standard_error": error,
                    "params": params,
                }
            )
        case Format.csv:
            emit(trials_table(chosen, columns, full=True), output)
        case Format.table:
            spread = "" if error is None else f" +- {error:.2f} (one standard error)"
            say(f"{chosen.name} trial {number}: {metric_of(chosen)} {score:.4g}{spread}")
            used = [name for name in params if not chosen.trainable or uses(name, {**chosen.settings, **params})]
            for name in used:
                say(f"  {name} = {shown(params[name])}")
            if len(used) < len(params):
                say(f"drawn, but without effect in this trial: {', '.join(n for n in params if n not in used)}")
