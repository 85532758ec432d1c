"""Progress in a notebook: a bar that renews itself, through IPython's display."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import TYPE_CHECKING, Any

from hpsearch.records import Completed
from hpsearch.search.workflow import Listener

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.records import Sentence, Stage
    from hpsearch.search.runner import Summary, Tick
    from hpsearch.store import Store

_EVERY_S = 0.5  # between two renewals of the bar


def display() -> Callable[..., Any] | None:
    """Return IPython's function that displays something, where this process runs a notebook; None elsewhere."""
    if "IPython" not in sys.modules:
        return None
    import IPython  # it is loaded already

    shell = IPython.get_ipython()
    show: Callable[..., Any] = IPython.display.display
    return show if getattr(shell, "kernel", None) is not None else None


class Bar(Listener):
    """A bar with the number of finished trials and the best of them; notes stand below.

    Args:
        show: IPython's ``display``.
    """

    def __init__(self, show: Callable[..., Any]) -> None:
        self._show, self._notes = show, list[str]()
        self._handle: Any = None

    def note(self, text: str | Sentence) -> None:
        """Add a note."""
        self._notes.append(str(text))
        if self._handle is None:
            self._show({"text/plain": str(text), "text/html": escape(str(text))}, raw=True)
            self._notes.clear()
        else:
            self._renew()

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0) -> None:
        """Show a bar for a stage."""
        self._stage, self._until, self._best, self._finished = stage, until, best, finished
        self._last = time.monotonic()
        self._words = ""
        self._handle = self._show(self._content(), raw=True, display_id=True)

    def tick(self, tick: Tick) -> None:
        """Renew the bar, at most twice a second."""
        self._finished = tick.counts.finished
        for trial in (outcome for outcome in tick.recorded if isinstance(outcome, Completed)):
            if self._best is None or (trial.score > self._best[1]) is (self._stage.direction == "maximize"):
                self._best = trial.number, trial.score
        if time.monotonic() - self._last >= _EVERY_S:
            self._renew()

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """Show the end of the run in place of the bar."""
        self._finished = summary.counts.finished
        self._words = f"; {summary.recorded} now, in {summary.seconds:.1f} s"
        self._renew()
        self._handle = None
        self._notes.clear()

    def _renew(self) -> None:
        self._last = time.monotonic()
        self._handle.update(self._content(), raw=True)

    def _content(self) -> dict[str, str]:
        best = "" if self._best is None else f", best {self._best[1]:.4g} (trial {self._best[0]})"
        words = f"{self._stage.name}: {self._finished} of {self._until} trials{best}{self._words}"
        bar = f'<progress value="{min(self._finished, self._until)}" max="{self._until}"></progress> '
        html = "<br>".join([bar + escape(words), *map(escape, self._notes)])
        return {"text/plain": "\n".join([words, *self._notes]), "text/html": html}
