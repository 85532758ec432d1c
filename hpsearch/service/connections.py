"""Connections: uvicorn's, with an end for those that send or take nothing, and a most number of them."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 600  # at a time: 200 watching browsers and what they ask, below the 1,024 files of a usual process
HEAD_S = 10.0  # seconds in which the head of a request must have come
STALLED_S = 30.0  # seconds after which a client is left that takes nothing of what it is sent


class Connection(H11Protocol):
    """A connection that a client may not hold open by being slow; uvicorn bounds only the pause between requests."""

    _head: asyncio.TimerHandle | None = None  # the ends of what is waited for
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Begin to wait for a request; close what is one too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.abort()
        self._head = self.loop.call_later(HEAD_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take what came; once the head of a request is whole the client need not hurry."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            _cancel(self._head)
            self._head = None
        elif self._head is None:  # a further request has begun, or a body goes on whose request was answered
            self._head = self.loop.call_later(HEAD_S, self.transport.abort)

    def pause_writing(self) -> None:
        """Begin to wait for a client that takes nothing."""
        super().pause_writing()
        self._stall = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has taken what was waiting."""
        super().resume_writing()
        _cancel(self._stall)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go."""
        _cancel(self._head)
        _cancel(self._stall)
        super().connection_lost(exc)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
