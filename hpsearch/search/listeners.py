"""Listeners of a run from Python: notes to the log, and the user's own function after each trial."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import TYPE_CHECKING

from hpsearch.search.notebook import Bar, display
from hpsearch.search.workflow import Listener
from hpsearch.store import open_store
from hpsearch.store.one_trial import OneTrial, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.records import Sentence, Stage
    from hpsearch.search.narrowing import NextStage
    from hpsearch.search.runner import Summary, Tick
    from hpsearch.store import Store

LOG = logging.getLogger("hpsearch")


def chosen(listener: Listener | None, call: Callable[[OneTrial], object] | None, storage: str) -> Listener:
    """Return the listener of a run, by default one that suits where it is.

    Args:
        listener: The one that was given.
        call: Is called with each trial that has been recorded.
        storage: The database.
    """
    if listener is None:
        show = display()
        listener = Logged() if show is None else Bar(show)
    return listener if call is None else Calling(call, storage, listener)


class Logged(Listener):
    """A listener that writes notes to the log ``hpsearch`` of `logging`, as warnings."""

    def note(self, text: str | Sentence) -> None:
        """Log a note."""
        LOG.warning("%s", text)


class Calling(Listener):
    """A listener that calls a function with each trial that has been recorded, and tells another one everything.

    An exception in the function is a note.
    """

    def __init__(self, call: Callable[[OneTrial], object], storage: str, listener: Listener) -> None:
        self._call, self._storage, self._listener = call, storage, listener

    def note(self, text: str | Sentence) -> None:
        """Pass a note on."""
        self._listener.note(text)

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0) -> None:
        """Pass on that a stage begins."""
        self._stage = stage
        self._listener.began(stage, until=until, jobs=jobs, best=best, finished=finished)

    def tick(self, tick: Tick) -> None:
        """Call the function with the trials that were recorded just now."""
        self._listener.tick(tick)
        if not tick.recorded:
            return
        with closing(open_store(self._storage)) as store:
            trials = read(store, self._stage, [outcome.number for outcome in tick.recorded])
        for trial in trials:
            try:
                self._call(trial)
            except Exception as error:
                words = " ".join(f"{type(error).__name__}: {error}".split())[:500]
                self.note(f"on_trial failed with trial {trial.number} of {self._stage.name}: {words}")

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """Pass on that a stage ends."""
        self._listener.ended(stage, summary, store)

    def narrowed(self, narrowed: NextStage) -> None:
        """Pass on that the next stage's ranges are made."""
        self._listener.narrowed(narrowed)
