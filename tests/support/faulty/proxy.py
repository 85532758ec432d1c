"""A network that can be torn: what goes to one port of this machine goes on to another, until it does not."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Any

_CHUNK = 1 << 16


class Proxy:
    """A port on 127.0.0.1 behind which another one is."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._flows = threading.Event()
        self._flows.set()
        self._torn = False
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: Any) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.tear()
        self._flows.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                here, _ = self._listener.accept()
                try:
                    there = None if self._torn else socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    there = None
                if there is None:
                    _reset(here)
                    continue
                self._ends += [here, there]
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                self._flows.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def tear(self) -> None:
        """Reset every connection, and each one that is tried from now on."""
        self._torn = True
        ends, self._ends = self._ends, []
        for end in ends:
            _reset(end)

    def fall_silent(self) -> None:
        """Let nothing through, and tell nobody."""
        self._flows.clear()

    def mend(self) -> None:
        """Let everything through again."""
        self._torn = False
        self._flows.set()


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RD)  # wakes who waits for it
    with contextlib.suppress(OSError):
        end.close()
