"""Listeners of a run from Python: notes to the log, a bar in a notebook, the user's function after each trial."""

from __future__ import annotations

import logging
import sys
import time
from html import escape
from typing import TYPE_CHECKING, Any

from hpsearch.records import Completed
from hpsearch.search.workflow import Listener
from hpsearch.store.trial_details import TrialDetails, read
from hpsearch.text import reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.records import Sentence, Stage
    from hpsearch.search.narrowing import NextStage
    from hpsearch.search.runner import Summary, Tick
    from hpsearch.store import Store

LOG = logging.getLogger("hpsearch")
_EVERY_S = 0.5  # between two renewals of a bar


def chosen(listener: Listener | None, call: Callable[[TrialDetails], object] | None) -> Listener:
    """Return the listener of a run, by default one that suits where it is.

    Args:
        listener: The one that was given.
        call: Is called with each trial that has been recorded.
    """
    if listener is None:
        ipython = sys.modules.get("IPython")
        notebook = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
        listener = Bar() if notebook else Logged()
    return listener if call is None else Calling(call, listener)


class Logged(Listener):
    """A listener that writes notes to the log ``hpsearch`` of `logging`, as warnings."""

    def note(self, text: str | Sentence) -> None:
        """Log a note."""
        LOG.warning("%s", text)


class Bar(Listener):
    """A bar in a notebook with the number of finished trials and the best of them, renewed in place."""

    def note(self, text: str | Sentence) -> None:
        """Print a note."""
        print(text)

    def began(
        self, stage: Stage, store: Store, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0
    ) -> None:
        """Show a bar for a stage."""
        self._stage, self._until, self._best = stage, until, best
        show = sys.modules["IPython.display"].display  # loaded where a notebook runs
        self._display = show(self._content(finished), raw=True, display_id=True)
        self._shown = time.monotonic()

    def tick(self, tick: Tick) -> None:
        """Renew the bar, at most twice a second but for its end."""
        for trial in (outcome for outcome in tick.recorded if isinstance(outcome, Completed)):
            sign = 1 if self._stage.direction == "maximize" else -1
            if self._best is None or sign * trial.score > sign * self._best[1]:
                self._best = trial.number, trial.score
        finished = tick.counts.finished
        if finished >= self._until or time.monotonic() - self._shown >= _EVERY_S:
            self._display.update(self._content(finished), raw=True)
            self._shown = time.monotonic()

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """Renew the bar for the last time."""
        words = f"; {summary.recorded} now, in {summary.seconds:.1f} s"
        self._display.update(self._content(summary.counts.finished, words), raw=True)

    def _content(self, finished: int, more: str = "") -> dict[str, str]:
        best = "" if self._best is None else f", best {self._best[1]:.4g} (trial {self._best[0]})"
        words = f"{self._stage.name}: {finished} of {self._until} trials{best}{more}"
        bar = f'<progress value="{min(finished, self._until)}" max="{self._until}"></progress> '
        return {"text/plain": words, "text/html": bar + escape(words)}


class Calling(Listener):
    """A listener that calls a function with each trial that has been recorded, and tells another one everything.

    An exception in the function is a note.
    """

    def __init__(self, call: Callable[[TrialDetails], object], listener: Listener) -> None:
        self._call, self._listener = call, listener

    def note(self, text: str | Sentence) -> None:
        """Pass a note on."""
        self._listener.note(text)

    def began(self, stage: Stage, store: Store, **progress: Any) -> None:
        """Pass on that a stage begins."""
        self._stage, self._store = stage, store
        self._listener.began(stage, store, **progress)

    def tick(self, tick: Tick) -> None:
        """Call the function with the trials that were recorded just now."""
        self._listener.tick(tick)
        if not tick.recorded:
            return
        for trial in read(self._store, self._stage, [outcome.number for outcome in tick.recorded]):
            try:
                self._call(trial)
            except Exception as error:
                self.note(f"on_trial failed with trial {trial.number} of {self._stage.name}: {reason(error)}")

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """Pass on that a stage ends."""
        self._listener.ended(stage, summary, store)

    def narrowed(self, narrowed: NextStage) -> None:
        """Pass on that the next stage's ranges are made."""
        self._listener.narrowed(narrowed)
