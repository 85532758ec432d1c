"""``hpsearch start``, ``stop``, ``retry`` and ``confirm``: run trials."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from hpsearch import representations
from hpsearch.api import Search
from hpsearch.cli import options
from hpsearch.cli.options import Format
from hpsearch.cli.progress import Display
from hpsearch.cli.render import emit, emit_object, note, say
from hpsearch.reports.tables import by_column, confirmed_sentences, confirmed_table
from hpsearch.search.best import REPEATS, TOP
from hpsearch.search.refinement import BATCH, TRIALS
from hpsearch.text import counted
from hpsearch.wording import worded

if TYPE_CHECKING:
    from hpsearch.search.confirmation import Confirmation

_REASONS = 3  # of failures that confirm shows


@click.command()
@click.argument(
    "study",
    required=False,
    help="Study file, its name, or a stage (mnist/stage-02). [default: the only search, or mnist]",
)
@click.option("--trials", type=int, help="Finished trials that the stage is to have. [default: the study file's]")
@options.stage
@click.option("--stages", type=int, help="Run the whole workflow up to this many stages, narrowing in between.")
@click.option("--top", type=int, help="With --stages: best trials that narrowing uses. [default: 5]")
@options.flag("--expand", "With --stages: widen a range whose edge the score still improves towards.")
@click.option("--seed", type=int, help="Seed of a new search. [default: the study file's]")
@options.jobs
@options.engine
@options.scheduler
@options.lanes
@options.pruner
@options.epochs
@options.timeout
@options.until
@options.max_failures
@options.storage
@options.data_dir
@options.output
def start(study: str | None, storage: str | None, output: Format, **request: Any) -> None:
    """Run a stage until it has the requested number of finished trials.

    Trials that have finished before count, and a run that ended early goes on with the same command. A run that
    --timeout, --until or `hpsearch stop` ends has done what was asked: its exit code is 0, and no further stage begins.
    """
    with closing(Display(output)) as display:
        Search(study, storage=storage).start(**request, listener=display)
        display.done()


@click.command()
@options.search_or_stage
@click.option("--trials", type=int, default=TRIALS, help="Finished trials that the refinement is to have.")
@click.option("--stage", type=int, help="Number of the stage to refine. [default: the latest]")
@click.option(
    "--sampler",
    help="surrogate: by the search's own model of its scores; tpe, gp: Optuna's tree-structured Parzen estimator and "
    "Gaussian process, which needs the extra [gp]. [default: surrogate]",
)
@click.option("--batch", type=int, help=f"Trials proposed together, once all before have finished. [default: {BATCH}]")
@options.jobs
@options.engine
@options.scheduler
@options.lanes
@options.timeout
@options.until
@options.max_failures
@options.storage
@options.data_dir
@options.output
def refine(search: str | None, storage: str | None, output: Format, **request: Any) -> None:
    """Run trials in the last ranges that a model of the scores proposes.

    The last step of a search: after narrowing, before confirming. The same command goes on with a refinement.
    """
    with closing(Display(output)) as display:
        Search(search, storage=storage).refine(**request, listener=display)
        display.done()


@click.command()
@options.search
@options.storage
@options.output
def stop(search: str | None, storage: str | None, output: Format) -> None:
    """Ask all runs of a search to stop, wherever they are.

    Within seconds they record what has finished, give back what had begun, and end; start goes on from there.
    """
    runs = Search(search, storage=storage).stop()
    if output != "table":
        rows = representations.stopped(runs)
        emit_object({"asked": rows}) if output == "json" else emit(by_column(rows), output)
        return
    for run in runs:
        say(
            f"asked to stop: process {run.owner.pid} on {run.owner.host}, {counted(run.trials, 'trial')} of {run.stage}"
        )
    if not runs:
        say("no run holds a trial; one that waits for workers, or for another run, stops too")


@click.command()
@options.search_or_stage
@click.option("--stage", type=int, help="Stage number. [default: the latest that has trials]")
@click.option("--trial", "numbers", type=int, multiple=True, help="Only this trial; may be repeated. [default: all]")
@options.storage
@options.output
def retry(search: str | None, stage: int | None, numbers: tuple[int, ...], storage: str | None, output: Format) -> None:
    """Give back failed trials, so that start runs them again with the same values.

    Those of a confirmation by its name: mnist/confirm-02.
    """
    again = Search(search, storage=storage).retry(stage=stage, numbers=numbers)
    if output == "json":
        emit_object(representations.retried(again))
    elif output == "csv":
        emit({"stage": [again.stage.name] * len(again.numbers), "trial": [*again.numbers]}, output)
    elif not again.numbers:
        say(f"no trial of {again.stage.name} has failed")
    else:
        waiting = f"{counted(len(again.numbers), 'failed trial')} of {again.stage.name}"
        say(f"given back: {waiting} ({', '.join(map(str, again.numbers))})")
        say(f"next: {'    '.join(map(worded, again.following))}")


@click.command()
@options.search_or_stage
@click.option("--stage", type=int, help="Stage number. [default: the latest that has trials]")
@click.option("--top", type=int, default=TOP, help="How many of the stage's best trials.")
@click.option("--repeats", type=int, default=REPEATS, help="How often each is to have been run again.")
@options.jobs
@options.engine
@options.scheduler
@options.lanes
@options.storage
@options.data_dir
@options.output
def confirm(search: str | None, storage: str | None, output: Format, **request: Any) -> None:
    """Run the best trials again with other seeds and rank them by their mean scores."""
    with closing(Display(output, scores=False)) as display:
        done = Search(search, storage=storage).confirm(**request, listener=display)
    state = done.state
    if output == "json":
        emit_object(representations.confirmation(done))
    elif output == "csv":
        emit(representations.confirmation_columns(done), output)
    else:
        _show(done)
        say(worded(Search(state.confirmation.search, storage=storage).checklist().next.sentence))


def _show(done: Confirmation) -> None:
    state = done.state
    say(done.summary.words(state.confirmation.name))
    if done.summary.reason is not None:
        note(done.summary.reason)
    for reason in state.reasons[:_REASONS]:
        say(f"failed: {reason}")
    if not state.ranking:
        say("no trial has a score; every repeat failed")
        return
    say(f"the best trials of {state.stage}, run again with other seeds:")
    say()
    emit(confirmed_table(state), "table")
    say()
    for sentence in confirmed_sentences(state):
        say(worded(sentence))
