"""The objective with its data at Dask's workers: sent once, and anew where it was lost.

It goes to one worker, and the others get it from there, or from each other, with their first batch. Asked to send it to
all, a Dask scheduler tries for ever where one of them dies meanwhile.
"""

from __future__ import annotations

import pickle
import uuid
from typing import TYPE_CHECKING

from hpsearch.errors import EvaluationFailure

if TYPE_CHECKING:
    from distributed import Future

    from hpsearch.executors.base import Evaluates
    from hpsearch.executors.dask.link import Link

_SEND_S = 300.0
"""Data that do not get to a worker in so many seconds are sent anew. Batches under way go on meanwhile."""
_MOST_SENDINGS = 10
"""So often data may be sent in vain."""


class Data:
    """What workers need besides a batch.

    Args:
        link: What sends it, and reports `Sent` or `Unsent`.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._payload = b""
        self._future: Future | None = None
        self._sending, self._to = "", ""  # the key of the sending that is under way, and the worker
        self._in_vain = 0
        self.token = ""
        """Which objective it is."""

    def load(self, objective: Evaluates) -> None:
        """Have another objective from now on."""
        self._payload, self.token = pickle.dumps(objective, protocol=pickle.HIGHEST_PROTOCOL), uuid.uuid4().hex
        self._in_vain = 0
        self.lost()

    def at(self, workers: list[str]) -> Future | None:
        """The objective, of use to all workers; None while it is sent to one of these, which begins here if need be."""
        if self._future is not None and self._future.status == "finished":
            return self._future
        self._future = None
        if workers and self.token and not self._sending and self._link.connected:
            self._sending = uuid.uuid4().hex
            self._to = workers[self._in_vain % len(workers)]
            self._link.scatter(self._sending, self._payload, self._to, _SEND_S)
        return None

    def sent(self, sending: str, future: Future) -> None:
        """It is there; what was asked for before the last change counts no more."""
        if sending == self._sending:
            self._future, self._sending, self._in_vain = future, "", 0

    def unsent(self, sending: str, reason: str) -> None:
        """It did not get there: no worker is there any more, say, and the next try has other ones.

        Raises:
            EvaluationFailure: That was so too often.
        """
        if sending != self._sending:
            return
        self._sending = ""
        self._in_vain += self._link.connected
        if self._in_vain >= _MOST_SENDINGS:
            raise EvaluationFailure(f"the data do not get to the Dask workers: {reason}")

    def left(self, worker: str) -> None:
        """A worker is gone: there is no use in sending anything to it."""
        if worker == self._to:
            self._sending = ""

    def lost(self) -> None:
        """It has to be sent anew; so has what is under way."""
        self._future, self._sending = None, ""
