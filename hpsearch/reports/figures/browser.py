"""A browser without a window that draws figures, kept open so that the second figure is fast.

kaleido has a server for this too, but a browser that does not start makes its callers wait for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

START_S = 60.0
"""How long a browser may take to start; some 2 s on a quiet core."""
DRAW_S = 120.0
"""How long one figure may take."""
CLOSE_S = 15.0

T = TypeVar("T")


class Browser:
    """A running browser, with an event loop in a thread of its own: a notebook's loop is taken already.

    Raises:
        Exception: Whatever keeps it from starting: not found, ended at once, or silent for `START_S` seconds.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hpsearch-browser", daemon=True)
        self._thread.start()
        self._kaleido: Any = None
        try:
            self._wait(self._open(), START_S)
        except BaseException:
            self.close()
            raise

    async def _open(self) -> None:
        import kaleido

        # What they would write to stderr comes back as an exception too.
        for library in map(logging.getLogger, ("kaleido", "choreographer")):
            library.setLevel(library.level or logging.CRITICAL)
        # plotly.js is the one in the installed Plotly; MathJax would come from the network.
        self._kaleido = kaleido.Kaleido(n=1, timeout=DRAW_S, mathjax=False)
        await self._kaleido.open()

    def _wait(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except BaseException:
            future.cancel()
            raise

    @property
    def usable(self) -> bool:
        """Whether this process may draw with it: a fork has no thread to do so."""
        return self._process == os.getpid() and self._thread.is_alive()

    def draw(self, figure: Any, options: dict[str, Any]) -> bytes:
        """A figure's image.

        Args:
            figure: A figure or its dictionary.
            options: kaleido's: ``format``, ``width`` and ``height`` in px, ``scale``.
        """
        drawn: bytes = self._wait(self._kaleido.calc_fig(figure, opts=options), DRAW_S)
        return drawn

    def close(self) -> None:
        """End the browser and the thread; nothing happens where they have ended."""
        if not self.usable:
            return
        if self._kaleido is not None:
            # It is being thrown away, whatever is wrong with it.
            with contextlib.suppress(Exception):
                self._wait(self._kaleido.close(), CLOSE_S)
            process = getattr(self._kaleido, "subprocess", None)
            if process is not None and process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own
                process.wait()
        with contextlib.suppress(Exception):
            self._wait(_cancel_others(), CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()


async def _cancel_others() -> None:
    """End what still runs in the loop, so that nothing is destroyed while it waits."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


_lock = threading.RLock()
_open: Browser | None = None


def draw(figure: Any, options: dict[str, Any]) -> bytes:
    """A figure's image, from the browser that is open, or from a new one where it is gone.

    Args:
        figure: A figure or its dictionary.
        options: kaleido's: ``format``, ``width`` and ``height`` in px, ``scale``.
    """
    global _open
    with _lock:
        if _open is not None and _open.usable:
            try:
                return _open.draw(figure, options)
            except Exception:
                # It may have been killed, or have run out of memory: once more, with a new one.
                close_browser()
        _open = Browser()
        threading.Thread(target=_close_at_exit, args=(_open,), name="hpsearch-browser-end").start()
        return _open.draw(figure, options)


def _close_at_exit(browser: Browser) -> None:
    # Not atexit: that comes after waiting for a thread of the browser's which ends with the browser only.
    while browser.usable and threading.main_thread().is_alive():
        threading.main_thread().join(1.0)
    browser.close()


def close_browser() -> None:
    """End the browser, if one is open; the next figure starts another."""
    global _open
    with _lock:
        if _open is not None:
            _open.close()
            _open = None
