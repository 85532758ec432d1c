"""What ``hpsearch start`` shows while it runs, and what it says at the end of a stage."""

from __future__ import annotations

import time
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from hpsearch.cli.options import Format
from hpsearch.cli.output import console, emit, emit_object, note, say
from hpsearch.cli.render import command
from hpsearch.objectives import kinds
from hpsearch.records import Action, Completed, Stage
from hpsearch.search.workflow import Listener
from hpsearch.text import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from hpsearch.search.narrowing import NextStage
    from hpsearch.search.runner import Summary, Tick
    from hpsearch.store import Store

_TOP = 5
_LEAST_BAR = 8
"""Characters of the bar in a narrow terminal."""
_LINE_EVERY = 0.2
"""Without a terminal: a line of progress whenever this share of the trials has finished."""


def fitting(parts: dict[str, str], room: int) -> str:
    """As much of what there is to say as fits: Rich would leave out the bar and the count, and cut off the rest.

    Args:
        parts: What there is to say, in order: the best trial, how many were pruned, the rate, the time left.
        room: Characters.
    """
    kept = dict(parts)
    for name in ("pruned", "rate", "best"):
        if len(", ".join(kept.values())) > room:
            kept.pop(name, None)
    return ", ".join(kept.values())


class Display(Listener):
    """A `hpsearch.search.workflow.Listener` that prints: a bar in a terminal, a few plain lines elsewhere."""

    def __init__(self, output: Format, *, scores: bool = True) -> None:
        self._output = output
        self._scores = scores  # whether a single trial's score says anything
        self._bar: Progress | None = None
        self._task: Any = None
        self._finished: list[dict[str, Any]] = []
        self._next: list[str] = []  # commands to type, after the stage that ended last
        self._said = ""  # what was said last to be waited for

    @cached_property
    def _console(self) -> Console:
        # Not before a stage begins: loading Rich would keep the workers from starting.
        return console(stderr=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_bar()

    def note(self, text: str) -> None:
        """Say something that is no error."""
        note(text)

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0) -> None:
        """A stage begins, or goes on."""
        self._stage = stage
        self._until = until
        self._maximize = stage.direction == "maximize"
        self._best_trial: int
        self._best: float | None
        self._best_trial, self._best = best or (-1, None)
        self._before: int | None = None
        self._line_at = _LINE_EVERY
        self._began = time.monotonic()
        if finished >= until:
            self._console.print(f"{stage.name} has the {counted(until, 'trial')} asked for already", markup=False)
            return
        who = counted(jobs, "process") if jobs else "no worker yet"
        self._console.print(f"{stage.name}: {counted(until, 'trial')}, {who}", markup=False)
        if self._console.is_terminal:
            self._start_bar()

    def _start_bar(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._bar = Progress(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
            console=self._console,
        )
        self._task = self._bar.add_task("trials", total=self._until, words="")
        self._bar.start()

    def tick(self, tick: Tick) -> None:
        """Trials have finished."""
        finished = tick.counts.finished
        if self._before is None:
            self._before = finished
        for outcome in tick.recorded:
            if isinstance(outcome, Completed) and (
                self._best is None or (outcome.score > self._best) is self._maximize
            ):
                self._best, self._best_trial = outcome.score, outcome.number
        words = self._words(finished, tick.counts.pruned)
        if tick.waiting_for_others:
            words = f"waiting for {counted(tick.counts.running, 'trial')} of another run"
        elif tick.waiting_for_workers:
            words = "waiting for a worker"
        if self._bar is not None:
            self._bar.update(self._task, completed=min(finished, self._until), words=words)
        elif tick.waiting_for_others or tick.waiting_for_workers:
            if self._said != words.split()[-1]:
                self._console.print(words, markup=False)
            self._said = words.split()[-1]
        elif tick.recorded and finished / self._until >= self._line_at:
            self._said = ""
            self._line_at = finished / self._until + _LINE_EVERY
            self._console.print(f"{finished}/{counted(self._until, 'trial')}, {words}", markup=False)

    def _words(self, finished: int, pruned: int) -> str:
        done = finished - (self._before or 0)
        seconds = time.monotonic() - self._began
        parts = {}
        if self._best is not None and self._scores:
            parts["best"] = f"best {self._best:.4g} (trial {self._best_trial})"
        if pruned:
            parts["pruned"] = f"{pruned} stopped early"
        if done:
            rate = done / seconds
            parts["rate"] = f"{rate:.1f} trials/s" if rate >= 1 else f"{1 / rate:.1f} s a trial"
            left = max(self._until - finished, 0) / rate
            parts["left"] = f"{left:.0f} s left" if left < 120 else f"{left / 60:.0f} min left"
        if self._bar is None:
            return ", ".join(parts.values())
        return fitting(parts, self._console.width - _LEAST_BAR - len(f" {self._until}/{self._until} "))

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """A stage has all its trials, or the run was stopped."""
        from hpsearch.reports.tables import trials_table, with_error
        from hpsearch.search.best import ties_of

        self._end_bar()
        best = store.columns(stage, top=_TOP, hits=True)
        score = best["score"][0] if best["score"] else None
        self._finished.append(
            {
                "stage": stage.name,
                "finished": summary.counts.finished,
                "failed": summary.counts.failed,
                "pruned": summary.counts.pruned,
                "run_now": summary.recorded,
                "seconds": round(summary.seconds, 3),
                "store_seconds": round(summary.store_seconds, 3),
                "best": score,
            }
        )
        if summary.lost:
            note(f"{summary.lost} trials that had begun here were run elsewhere, as this run had not been heard of")
        if summary.stopped:
            return
        if summary.released:
            done = "run again" if summary.recorded else "given back"
            note(f"{done}, as the run that they belonged to had died: {counted(summary.released, 'trial')}")
        if self._output is not Format.table:
            return
        from hpsearch.search.stage import actions_for

        action = actions_for(store, stage.search)
        self._next = [command(Action("dashboard", {"storage": store.where}))]
        counts = summary.counts
        stopped = f"{counts.pruned} stopped early" if counts.pruned else ""
        failed = f"{counts.failed} failed" if counts.failed else ""
        which = f" ({', '.join(filter(None, (stopped, failed)))})" if stopped or failed else ""
        if summary.recorded:
            took = f"; {summary.recorded} of them now, in {summary.seconds:.1f} s"
        else:
            took = "; nothing was left to do"
        say(f"{stage.name} has {counted(counts.finished, 'finished trial')}{which}{took}")
        if score is None:
            say(f"no trial came to a score; `{command(action('trials'))}` gives the reasons")
            return
        say()
        table = trials_table(stage, best, tied=ties_of(store, stage, best))
        del table["seconds"]
        emit(table, Format.table)
        if kinds.examples(stage) is not None:
            say()
            say(f"best {stage.metric} {with_error(stage, score)} (one standard error)")
        from hpsearch.search.findings import what_next

        self._next = [*map(command, what_next(store, store.stages(stage.search)).actions[:1]), *self._next]

    def narrowed(self, narrowed: NextStage) -> None:
        """The next stage's ranges are made."""
        from hpsearch.cli.narrow import show

        if self._output is Format.table:
            say()
            show(narrowed)

    def done(self) -> None:
        """Everything asked for has run."""
        if self._output is Format.json:
            emit_object({"stages": self._finished})
        elif self._output is Format.csv:
            from hpsearch.reports.tables import by_column

            emit(by_column(self._finished), Format.csv)
        else:
            say(f"next: {'    '.join(self._next)}")
