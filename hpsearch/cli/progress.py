"""Progress of ``hpsearch start`` and ``confirm``, and the summary at the end of a stage."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any

from hpsearch.api import best_trials
from hpsearch.cli.narrow import show
from hpsearch.cli.options import Format
from hpsearch.cli.render import emit, emit_object, note, say, speed, terminal
from hpsearch.errors import EvaluationFailure
from hpsearch.objectives import kinds
from hpsearch.records import Action, Completed, Sentence, Stage
from hpsearch.reports.tables import by_column, with_error
from hpsearch.search.next_step import next_step
from hpsearch.search.noise import error_of_first
from hpsearch.search.results import Results
from hpsearch.search.workflow import Listener
from hpsearch.text import counted
from hpsearch.wording import command

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from hpsearch.search.narrowing import NextStage
    from hpsearch.search.runner import Summary, Tick
    from hpsearch.store import Store

_TOP = 5
_LEAST_BAR = 8  # characters of the bar in a narrow terminal
_LINE_EVERY = 0.2  # without a terminal: a line of progress whenever this share of the trials has finished


def fitting(parts: dict[str, str], room: int) -> str:
    """Return as many of the parts as fit into so many characters: Rich would leave out the bar, and cut off the rest.

    Args:
        parts: In order: the best trial, how many were pruned, the rate, the time left.
    """
    shown = dict(parts)
    for name in ("pruned", "rate", "best"):
        if len(", ".join(shown.values())) > room:
            shown.pop(name, None)
    return ", ".join(shown.values())


def _outlived(shows: Callable[..., None]) -> Callable[..., None]:
    """Let a search outlive its display: a full device, a pipe without a reader, a closed terminal."""

    @wraps(shows)
    def shown(display: Display, *args: Any, **kwargs: Any) -> None:
        with suppress(OSError):
            shows(display, *args, **kwargs)

    return shown


class Display(Listener):
    """Prints progress, a bar in a terminal, a few plain lines elsewhere; close it.

    Without ``scores`` a single trial's score means nothing.
    """

    def __init__(self, output: Format, *, scores: bool = True) -> None:
        self._output, self._scores = output, scores
        self._bar: Progress | None = None
        self._finished: list[dict[str, Any]] = []
        self._next: list[str] = []  # commands after the stage that ended last
        self._waiting = False  # whether the last line says so
        self._failure: EvaluationFailure | None = None  # where every trial of a stage has failed

    @_outlived
    def note(self, text: str | Sentence) -> None:
        """Print a note."""
        note(text)

    @_outlived
    def began(
        self, stage: Stage, store: Store, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0
    ) -> None:
        """Announce a stage that begins, or goes on."""
        self._until, self._before, self._best = until, finished, best
        self._maximize = stage.direction == "maximize"
        self._line_at = _LINE_EVERY
        self._began = time.monotonic()
        if finished >= until:
            say(f"{stage.name} has {counted(finished, 'trial')} already", stderr=True)
            return
        who = counted(jobs, "process") if jobs else "no worker yet"
        epochs = kinds.trained_epochs(stage)
        trials = counted(until, "trial") + ("" if epochs is None else f" of {counted(epochs, 'epoch')}")
        say(f"{stage.name}: {trials}, {who}", stderr=True)
        if sys.stderr.isatty():
            self._bar = terminal().bar("{task.fields[words]}")
            self._bar.add_task("trials", total=until, words="")
            self._bar.start()

    @_outlived
    def tick(self, tick: Tick) -> None:
        """Update the bar: trials have finished."""
        finished = tick.counts.finished
        for trial in (outcome for outcome in tick.recorded if isinstance(outcome, Completed)):
            if self._best is None or (trial.score > self._best[1]) is self._maximize:
                self._best = trial.number, trial.score
        waiting = tick.waiting_for_others or tick.waiting_for_workers
        if tick.waiting_for_others:
            words = f"waiting for {counted(tick.counts.running, 'trial')} of another run"
        else:
            words = "waiting for a worker" if waiting else self._words(finished, tick.counts.pruned)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=min(finished, self._until), words=words)
        elif waiting:
            if not self._waiting:
                say(words, stderr=True)
            self._waiting = True
        elif tick.recorded and finished / self._until >= self._line_at:
            self._waiting = False
            self._line_at = finished / self._until + _LINE_EVERY
            say(f"{finished}/{counted(self._until, 'trial')}, {words}", stderr=True)

    def _words(self, finished: int, pruned: int) -> str:
        parts = {}
        if self._best is not None and self._scores:
            parts["best"] = f"best {self._best[1]:.4g} (trial {self._best[0]})"
        if pruned:
            parts["pruned"] = f"{pruned} pruned"
        if finished > self._before:
            rate = (finished - self._before) / max(time.monotonic() - self._began, 1e-3)  # clocks may stand still
            parts["rate"], parts["left"] = speed(rate, max(self._until - finished, 0) / rate)
        if self._bar is None:
            return ", ".join(parts.values())
        return fitting(parts, shutil.get_terminal_size().columns - _LEAST_BAR - len(f" {self._until}/{self._until} "))

    @_outlived
    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @_outlived
    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """Summarise a stage that has all its trials, or whose run was stopped."""
        self.close()
        best = best_trials(store, stage, _TOP)
        score = best.columns["score"][0] if best.columns["score"] else None
        self._finished.append(
            {
                "stage": stage.name,
                "finished": summary.counts.finished,
                "failed": summary.counts.failed,
                "pruned": summary.counts.pruned,
                "run_now": summary.recorded,
                "seconds": round(summary.seconds, 3),
                "store_seconds": round(summary.store_seconds, 3),
                "ended_by": summary.ended_by,
                "best": score,
            }
        )
        where = {"search": stage.search, "storage": store.where}
        failed = Action("trials", {**where, "state": "fail"})
        if summary.ended_by == "trials" and 0 < summary.counts.finished == summary.counts.failed:
            whole = f"every trial of {stage.name} has failed, so none has a score; `{{}}` gives the reasons"
            self._failure = EvaluationFailure(whole, failed)
        if summary.lost:
            note(f"{summary.lost} trials that had begun here were run elsewhere, as this run's lease had expired")
        if summary.stopped:
            return
        if summary.reason is not None and "failures" not in summary.ended_by:  # these end with an error
            note(summary.reason)
        if summary.released:
            done = "run again" if summary.recorded else "given back"
            note(f"{done}, as the run that they belonged to had died: {counted(summary.released, 'trial')}")
        if self._output != "table":
            return
        cut_short = summary.ended_by in ("timeout", "until", "stop") and summary.counts.finished < self._until
        self._next = [command(Action("start", where))] if cut_short else []
        say(summary.words(stage.name))
        if score is None:
            if summary.counts.failed and not cut_short:
                self._next = [command(failed), command(Action("retry", where))]
            return
        say()
        table = best.table(full=False)
        del table["seconds"]
        emit(table, "table")
        if (error := error_of_first(store, stage, best.columns)) is not None:
            say()
            say(f"best {stage.metric} {with_error(score, error)} (one standard error)")
        step = next_step(Results(store, store.stages(stage.search)))
        if step.step != "use" and not cut_short:  # evaluated: nothing is to be run
            self._next = list(map(command, step.actions[:1]))

    @_outlived
    def narrowed(self, narrowed: NextStage) -> None:
        """Print the next stage's ranges."""
        if self._output == "table":
            say()
            show(narrowed)

    def done(self) -> None:
        """Print the results of the whole run.

        Raises:
            EvaluationFailure: Every trial of the last stage has failed.
        """
        if self._output == "json":
            emit_object({"stages": self._finished})
        elif self._output == "csv":
            emit(by_column(self._finished), "csv")
        elif self._next:
            say(f"next: {'    '.join(self._next)}")
        if self._failure is not None:
            raise self._failure
